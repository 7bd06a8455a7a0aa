package protocol

// Reason says what ended a connection. The first cause wins: events while a connection is already
// ending do not change it.
type Reason uint8

// The reasons, in the order of a connection's life.
const (
	// ReasonNone is the reason of a connection that has not ended.
	ReasonNone Reason = iota
	// ReasonHandshake: the PROXY header or the TLS handshake was a bad one or took longer than
	// HandshakeTimeout, or the client that the header named was refused. The handler never saw this
	// connection, unless it was the handshake of a StartTLS.
	ReasonHandshake
	// ReasonPeerClosed: the peer sent FIN; everything it sent was shown, everything accepted for it
	// was flushed.
	ReasonPeerClosed
	// ReasonPeerReset: the peer sent RST, or closed while writes for it were on their way.
	ReasonPeerReset
	// ReasonLocalClosed: Close was asked for.
	ReasonLocalClosed
	// ReasonLocalAborted: Abort was asked for.
	ReasonLocalAborted
	// ReasonHandlerError: a handler returned an error, which is in Err.
	ReasonHandlerError
	// ReasonHandlerPanic: a handler panicked; Err is a *PanicError with the value and the stack.
	ReasonHandlerPanic
	// ReasonReadBufferFull: the read buffer was full and the handler consumed nothing of it.
	ReasonReadBufferFull
	// ReasonIdleTimeout: no byte came or went for IdleTimeout while the server waited for the peer.
	ReasonIdleTimeout
	// ReasonReadTimeout: the peer sent no byte for ReadTimeout while the server was ready to read.
	ReasonReadTimeout
	// ReasonWriteTimeout: writes were pending and the peer took no byte for WriteTimeout.
	ReasonWriteTimeout
	// ReasonHalfCloseTimeout: one direction had ended, and nothing moved in the other for
	// HalfCloseTimeout.
	ReasonHalfCloseTimeout
	// ReasonMaxAge: the connection reached its MaxAge.
	ReasonMaxAge
	// ReasonSlowConsumer: a write did not fit, and SlowConsumer is SlowClose; Err is the limit's.
	ReasonSlowConsumer
	// ReasonLinkDown: an actor linked to the connection ended; Err is a *LinkDownError that names
	// it.
	ReasonLinkDown
	// ReasonMemoryBudget: the listener's MemoryBudget was used up, and this connection held more
	// than its share and moved too little of it within MemoryTimeout.
	ReasonMemoryBudget
	// ReasonTransportError: reading or writing failed in another way; Err says how.
	ReasonTransportError
	// ReasonShutdown: the server shut down.
	ReasonShutdown
	// ReasonStopped: the connection's actor was stopped from outside, by Stop or Poison.
	ReasonStopped
)

var reasonNames = [...]string{
	ReasonNone:             "none",
	ReasonHandshake:        "handshake failed",
	ReasonPeerClosed:       "peer closed",
	ReasonPeerReset:        "peer reset",
	ReasonLocalClosed:      "closed",
	ReasonLocalAborted:     "aborted",
	ReasonHandlerError:     "handler error",
	ReasonHandlerPanic:     "handler panic",
	ReasonReadBufferFull:   "read buffer full",
	ReasonIdleTimeout:      "idle timeout",
	ReasonReadTimeout:      "read timeout",
	ReasonWriteTimeout:     "write timeout",
	ReasonHalfCloseTimeout: "half-close timeout",
	ReasonMaxAge:           "max age",
	ReasonSlowConsumer:     "slow consumer",
	ReasonLinkDown:         "link down",
	ReasonMemoryBudget:     "memory budget",
	ReasonTransportError:   "transport error",
	ReasonShutdown:         "shutdown",
	ReasonStopped:          "stopped",
}

// String returns the reason in words, "unknown" for a value that is none of the constants.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

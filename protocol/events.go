package protocol

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// EVENTS that a connection delivers to its handler, one at a time.
//
// In the life of one connection: Accepted once and first; then Data, PeerClosed, Writable, Draining
// and TLSStarted; Closing once, as soon as something ends the connection; Closed once and last.
// Calls for one connection never overlap. Where handlers that panic are replaced (see
// connection.RestartHandler), or the connection is given another handler (see Become), each new one
// gets Accepted once and first, and the last one Closing and Closed. An event is valid during the
// call that delivers it; the connection uses it again afterwards.

// Event is one of Accepted, Data, PeerClosed, Writable, Draining, TLSStarted, Closing, Closed.
type Event interface{ event() }

// Accepted is the first event: the socket is connected (and its PROXY header read, its TLS
// handshake done).
type Accepted struct {
	Socket Socket
	// Restarts counts the handlers of this connection, since its last Become, that panicked and
	// were replaced. Above 0 the conversation is under way already.
	Restarts int
}

// Data shows the unread bytes. Bytes that the handler does not consume stay and lead the next Data.
// There is at most one Data outstanding, and none while the connection's own writes are pending
// (see ReadGate).
type Data struct {
	Socket Socket
	// Buffer holds the unread bytes; valid during the call only.
	Buffer *Buffer
	// EOF is true if the peer sent its FIN, and these are its last bytes. A handler that has
	// consumed every byte by then gets no Data for the FIN: PeerClosed or Closed tells of it.
	EOF bool
}

// PeerClosed says that the peer sent FIN while the connection stays writable. It is delivered only
// with KeepOpenOnPeerClosed; otherwise the connection flushes and closes by itself.
type PeerClosed struct{ Socket Socket }

// Writable says that the write queue crossed a water mark: Ready false when it rose to HighWater,
// or when a write was refused because the queue was full; Ready true when it sank to LowWater again
// and a refused write would fit. The two alternate strictly, beginning with false. After each
// refusal one with Ready true follows, for the writes of all goroutines.
//
// It may come before the refused call has returned. So a handler that writes to another connection
// pauses its own first, then writes, and resumes where the write was accepted; the other's Writable
// resumes it where it was refused. A pause that came after the refusal could undo that Resume.
type Writable struct {
	Socket Socket
	Ready  bool
}

// Draining says that the server is shutting down, or that the connection reached its MaxAge: the
// handler has until Deadline (zero: no limit) to finish and to Close. At the deadline the
// connection is closed, and a little later aborted.
//
// It comes once for each of the two, so it may come twice; then the earlier Deadline counts.
type Draining struct {
	Socket   Socket
	Deadline time.Time
}

// TLSStarted says that the handshake of a StartTLS is done. All Data that follows was encrypted,
// and Socket.TLS returns the state. What the handler knows of the peer from before is not
// authentic: a server of SMTP, for example, forgets it here. A handler that replaces another after
// that does not get it: its Accepted comes with TLS.
type TLSStarted struct{ Socket Socket }

// Closing says that the connection has begun to end: Reason says why, Err is the cause if there is
// one. Every end is announced: Close, Abort and Stop from any goroutine, the peer's FIN or reset, a
// timeout, a handler that fails, a shutdown.
//
// From its cause on the connection refuses writes; those accepted before are still flushed, which
// may take CloseTimeout and LingerTimeout, and Closed comes only after that. Closing comes at once:
// before every other call, unless a call is under way already. A handler that has registered its
// connection elsewhere, in a chat room for example, removes it here, so that nothing is sent to it
// any more.
//
// After Closing the handler may still get: Data, if the peer sent something before its reset;
// completions; messages; and Closed. The end is also published on the actor system's event stream,
// as connection.Closing, even while the handler blocks.
type Closing struct {
	Socket Socket
	Reason Reason
	Err    error
}

// Closed is the last event. Reason says what ended the connection, Err is the first cause (nil for
// an orderly end).
type Closed struct {
	Socket Socket
	Reason Reason
	Err    error
	Stats  Stats
}

// Stats counts bytes of one connection. Every byte of an accepted write is in exactly one of
// Written and Unsent; a write that was dropped was not accepted. WriteFile counts the bytes that
// it was asked for. A count that reaches the most that it can hold stays there. Over TLS the
// records of one system call count together: where a connection ends by force, the peer may have
// got up to 16 KiB that are in Unsent.
type Stats struct {
	Read          uint64        // bytes received from the kernel, without a PROXY header
	Unread        uint64        // bytes that came and that the handler had not consumed at the end, as far as is known; those left in the kernel are not in Read
	Written       uint64        // bytes of accepted writes that the kernel took
	Unsent        uint64        // bytes of accepted writes that it did not
	Dropped       uint64        // bytes of writes that SlowDropNewest dropped
	DroppedWrites uint64        // and how many writes
	Duration      time.Duration // from accept to close, or until now
}

// REPLIES that a connection sends to the sender of a command.

// Written answers a Write with an Ack: all its bytes went to the kernel.
type Written struct{ Ack any }

// WriteFailed answers a Write that was refused, or that was accepted and could not be sent before
// the connection ended. Err is what Socket.Write would have returned, or what ended the connection.
// Where the peer's reset or the network ended it, both are that error, which does not match
// net.ErrClosed: a *net.OpError with ECONNRESET or EPIPE for example.
type WriteFailed struct {
	Ack   any
	Token any
	Err   error
}

// WriteReady follows a WriteFailed for lack of room or of memory, once there is room again. It
// comes once to each sender, however many of its writes were refused.
type WriteReady struct{ PID *actor.PID } // of the connection

// Done answers Pause, Resume, Close, CloseWrite, Abort, Link, Unlink, Become, StartTLS and Detach
// with an Ack, once the command took effect. Err says that the connection had already ended, as
// that of WriteFailed does. A listener answers SuspendAccepting and ResumeAccepting with it.
//
// An actor of the same process that also watches the connection gets the answers to what it sent
// before the end, Done, Written and WriteFailed, before it gets *actor.Terminated.
type Done struct {
	Ack any
	Err error
}

// Info describes one connection at one moment. It is the answer to GetInfo.
type Info struct {
	PID                   *actor.PID
	LocalAddr, RemoteAddr string
	State                 State
	Reason                Reason // what has ended it, or has begun to; ReasonNone while nothing has
	Err                   error  // the cause, as in Closed; nil where there is none
	Paused                bool
	QueuedWrites          int // accepted writes not yet taken by the kernel
	QueuedBytes           int // their bytes; those of files do not count
	Stats                 Stats
	Throttled             bool // not read because of the MemoryBudget
	Restarts              int  // handlers that panicked and were replaced
	// HandlerFor is how long the handler's call under way has lasted, give or take the sweep's
	// interval; 0 for one that has not lasted longer than that. It is known only while the event
	// stream has a subscriber.
	HandlerFor time.Duration
	Handler    HandlerTimes
}

// HandlerTimes are the times of calls with Data, one of 16, of one connection's handlers. A call
// that panicked counts too. All are zero unless connection.Measure is around the handler.
type HandlerTimes struct {
	Calls          uint64 // how many were timed
	Total, Longest time.Duration
}

func (*Accepted) event()   {}
func (*Data) event()       {}
func (*PeerClosed) event() {}
func (*Writable) event()   {}
func (*Draining) event()   {}
func (*TLSStarted) event() {}
func (*Closing) event()    {}
func (*Closed) event()     {}

// ListenerInfo describes one listener at one moment. It is a listener's answer to GetInfo.
type ListenerInfo struct {
	Addr           string
	Accepting      bool
	MaxConnections int                // how many connections may be open
	Accepted       uint64             // clients accepted since the start
	Refused        map[Refusal]uint64 // of those, closed at once, by reason
	AcceptErrors   uint64             // failed accepts
	Waiting        int                // clients accepted that wait for a permit, with a MaxWait

	Open         int               // connections open now
	ByState      map[State]int     // the same by Info's State
	Detached     int               // of those, how many Detach took out of the count
	Lingering    int               // of those, how many wait for the peer's FIN after ours: they hold no permit of MaxConnections
	Ended        map[Reason]uint64 // connections that have ended since the start
	Read         uint64            // bytes received since the start, of live and ended connections
	Written      uint64            // bytes that the kernel took, likewise
	QueuedWrites int               // accepted writes not yet taken by the kernel
	QueuedBytes  int               // their bytes; those of files do not count
	Paused       int               // connections that are paused
	Full         int               // connections with a full write queue, or one above HighWater
	HandOvers    uint64            // how often another process was given the listening socket

	// With a MemoryBudget.
	BufferedBytes int64  // memory that the connections hold of it
	Throttled     int    // connections that are not read because of it
	OverBudget    uint64 // writes refused because of it since the start
}

package protocol

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/asynkron/protoactor-go/actor"
)

// sentinel is an error that also matches one of the standard library, so that callers may branch on
// either.
type sentinel struct {
	text string
	is   error
}

func (e *sentinel) Error() string { return e.text }
func (e *sentinel) Unwrap() error { return e.is }

// Timeout makes the timeouts satisfy net.Error's usual question.
func (e *sentinel) Timeout() bool { return errors.Is(e.is, os.ErrDeadlineExceeded) }

// Errors that callers branch on with errors.Is.
var (
	// ErrClosed refuses calls after Close, CloseWrite (for writes), Abort or the connection's end.
	// It matches net.ErrClosed, and says that this side has closed. Calls after the peer's reset,
	// or after a failure of the network, are refused with the error that ended the connection
	// instead: a *net.OpError.
	ErrClosed error = &sentinel{"berth: connection closed", net.ErrClosed}
	// ErrWriteQueueFull refuses a write because WriteQueueSize writes are pending already and the
	// kernel takes no more. Checked before the bytes. After a refusal for lack of room,
	// Writable{Ready: true} follows once there is some (WriteReady to a sender by PID).
	ErrWriteQueueFull error = &sentinel{"berth: write queue full", nil}
	// ErrWriteBufferFull refuses a write because its bytes and the pending ones exceed
	// WriteBufferSize and the kernel takes no more.
	ErrWriteBufferFull error = &sentinel{"berth: write buffer full", nil}
	// ErrWriteTooLarge refuses a write of more bytes than WriteBufferSize: it would not fit into an
	// empty queue either. The error says both sizes. WriteContext takes any length.
	ErrWriteTooLarge error = &sentinel{"berth: write larger than WriteBufferSize", nil}
	// ErrNoDescriptor is the error of SyscallConn where the connection has no descriptor: its
	// transport is none of the system's sockets, or it has ended.
	ErrNoDescriptor error = &sentinel{"berth: the connection has no descriptor", nil}
	// ErrMemoryBudget refuses a write because the listener's connections together hold their
	// MemoryBudget, or enough of it and this one more than its share. It also ends a connection
	// that is then in the way of others.
	ErrMemoryBudget error = &sentinel{"berth: memory budget used up", nil}
	// ErrBytesBeforeTLS ends a connection whose peer sent plain text in front of TLS, behind a
	// StartTLS: another party may have put it there, to have it taken for encrypted input.
	ErrBytesBeforeTLS error = &sentinel{"berth: bytes in plain text before TLS", nil}
	// ErrDropped completes a write that SlowDropNewest dropped: not one byte of it was sent.
	ErrDropped error = &sentinel{"berth: write dropped, the peer is slow", nil}
	// ErrReadBufferFull ends a connection when its handler consumed nothing of a full read buffer.
	ErrReadBufferFull error = &sentinel{"berth: read buffer full and nothing consumed", nil}
	// ErrAborted completes the writes that an Abort cut off.
	ErrAborted error = &sentinel{"berth: connection aborted", net.ErrClosed}
	// ErrStopped completes the writes that were cut off because the connection's actor was stopped.
	ErrStopped error = &sentinel{"berth: connection stopped", net.ErrClosed}
	// ErrShutdown completes the writes that were cut off because the server's deadline had passed.
	ErrShutdown error = &sentinel{"berth: server shut down", net.ErrClosed}
	// These match os.ErrDeadlineExceeded.
	ErrIdleTimeout      error = &sentinel{"berth: idle timeout", os.ErrDeadlineExceeded}
	ErrReadTimeout      error = &sentinel{"berth: read timeout", os.ErrDeadlineExceeded}
	ErrWriteTimeout     error = &sentinel{"berth: no progress in writing", os.ErrDeadlineExceeded}
	ErrHalfCloseTimeout error = &sentinel{"berth: one direction closed and nothing moved in the other", os.ErrDeadlineExceeded}
	ErrHandshakeTimeout error = &sentinel{"berth: handshake timeout", os.ErrDeadlineExceeded}
	ErrCloseTimeout     error = &sentinel{"berth: writes not flushed within the close timeout", os.ErrDeadlineExceeded}
	// ErrGoexit ends a connection when its handler called runtime.Goexit (as testing.T.FailNow
	// does).
	ErrGoexit error = &sentinel{"berth: handler called runtime.Goexit", nil}
)

// PanicError is the Err of a connection that ended with ReasonHandlerPanic.
type PanicError struct {
	Value any    // what the handler panicked with
	Stack []byte // the stack at the panic, as debug.Stack prints it
}

// Error names the value but not the stack, which is in Stack.
func (e *PanicError) Error() string { return fmt.Sprintf("berth: handler panicked: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// LinkDownError is the Err of a connection that ended with ReasonLinkDown.
type LinkDownError struct {
	PID *actor.PID // the linked actor that ended; nil if the link was to nil
}

// Error names the actor.
func (e *LinkDownError) Error() string {
	if e.PID == nil {
		return "berth: linked to no actor"
	}
	return fmt.Sprintf("berth: linked actor %s/%s ended", e.PID.GetAddress(), e.PID.GetId())
}

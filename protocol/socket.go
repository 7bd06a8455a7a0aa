package protocol

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Timeouts are limits of time that one connection has instead of its listener's; see
// Socket.SetTimeouts. In each field 0 is the listener's option of that name, negative is off.
type Timeouts struct {
	Idle   time.Duration // IdleTimeout
	Read   time.Duration // ReadTimeout
	MaxAge time.Duration // MaxAge, give or take up to a tenth
}

// Sealed is embedded in the types of this module that implement Socket. It has no use outside of
// it.
type Sealed struct{}

func (Sealed) sealed() {} //nolint:unused // it is what makes a Socket

// Socket is a handler's handle on its connection: an interface, so that a handler can be tested
// with the fake of test/berthtest. Programs use it and do not implement it: it will get more
// methods.
//
// Every method may be called from any goroutine, at any time, also after the connection has ended.
// None waits for the peer, except WriteContext and the result of Writer. If a write finds the queue
// full, what is queued is first given to the kernel, and the write is refused only if there is
// still no room. Completion callbacks (done; nil if none is wanted) run as handler calls do: one at
// a time with the connection's other calls, each exactly once, before Closed, and never inside the
// call that queued them. The callback of a Do after the end runs on a goroutine of its own.
type Socket interface {
	sealed()

	// PID addresses the connection's actor, with the commands of this package and any message for
	// the handler.
	PID() *actor.PID
	// LocalAddr and RemoteAddr return the addresses of the two ends; behind a proxy those that its
	// header names.
	LocalAddr() net.Addr
	RemoteAddr() net.Addr

	// Write copies p and queues it, all of it (n = len(p)) or nothing (n = 0 and ErrWriteQueueFull,
	// ErrWriteBufferFull, ErrWriteTooLarge, ErrMemoryBudget or ErrClosed). Where SlowDropNewest
	// drops a write, here and below, it counts as queued, and done gets ErrDropped. After the
	// peer's reset, or a failure of the network, every write is refused with the *net.OpError that
	// ended the connection; ErrClosed means that this side has closed.
	Write(p []byte) (n int, err error)
	// WriteContext queues a copy of p, of any length, and waits for room where there is none: until
	// all of p is queued (n = len(p)), ctx is done, or the connection takes no more writes; n says
	// how much is queued. It may wait in a handler and in a completion, and only their own
	// connection waits with them. Two calls do not mix their bytes; other writes may come between
	// the pieces of a p that is longer than WriteBufferSize, or than 256 KiB. SlowConsumer does not
	// apply: a write that waits is never refused for lack of room. While a handler waits, its
	// connection handles no mail: a Stop, or a Close or Abort by PID, comes after the call, which
	// WriteTimeout or ctx ends. The methods of the Socket take effect at once.
	WriteContext(ctx context.Context, p []byte) (n int, err error)
	// Writer returns WriteContext with this ctx as an io.Writer, for io.Copy and other code that
	// writes more than fits at once.
	Writer(ctx context.Context) io.Writer
	// WriteOwned queues p without copying: nothing may change p any more. The same p may be given
	// to any number of connections, at the same time and again. If it returns an error, this
	// connection has no part in p and done never runs.
	WriteOwned(p []byte, done func(error)) error
	// WriteBuffers queues several slices as one write: contiguous on the wire, one place in the
	// queue, taken or refused as a whole. The slices belong to the connection, as with WriteOwned.
	WriteBuffers(bufs [][]byte, done func(error)) error
	// Forward queues all unread bytes of b and consumes them; the memory changes hands, nothing is
	// copied. If it returns an error, b is untouched. It must be called while b is valid, that is,
	// from the handler that got b.
	Forward(b *Buffer) (n int, err error)
	// WriteFile queues n bytes of f from offset, sent by the kernel where the platform and the file
	// allow it, else copied. They take one place in the queue and none of the write buffer. f's
	// position stays as it is, so one file may be queued any number of times, and on many
	// connections at once; it must stay open until done has run.
	//
	// A pipe, a socket or a terminal is read from where it stands: offset must be 0, and until done
	// has run nothing else may read it, nor set its deadlines. While it gives nothing the writes
	// behind it wait, and those that find no room are refused, whatever SlowConsumer says. A Close
	// waits for it too, but not for longer than 100 ms without a byte: close in done to send all of
	// it.
	//
	// An error of the file ends this write alone, through done; where f is shorter than offset+n,
	// io.ErrUnexpectedEOF. The bytes that f had are sent, the rest is counted as unsent, and the
	// connection goes on. Errors known before anything is read are returned at once: f is nil,
	// closed or a directory; n or offset is negative.
	WriteFile(f *os.File, offset, n int64, done func(error)) error

	// Pause, Resume, Close, CloseWrite and Abort are the commands of the same names without an
	// answer.
	Pause()
	Resume()
	// Close refuses every write from now on, also one that was sent to the PID and not read yet. It
	// always returns nil; it has the form of io.Closer.
	Close() error
	CloseWrite()
	Abort()
	// Do gives the connection a command with a completion: done gets nil once the command took
	// effect (see the command), or the error. An Ack in the command is ignored. Without a command
	// (c is nil, or a nil pointer) done gets an error, and the connection goes on.
	Do(c Command, done func(error))

	// Detach is the command of the same name; it has taken effect when it returns.
	Detach()

	// Link and Unlink are the commands of the same names without an answer.
	Link(pid *actor.PID)
	Unlink(pid *actor.PID)

	// Become is the command of the same name without an answer. It returns an error if handler
	// makes no handler, or if the connection has begun to end.
	Become(handler Factory) error

	// StartTLS is the command of the same name, in order with this goroutine's writes: those made
	// before go out in plain text, those made after it encrypted. From its return on no Data comes
	// that was not encrypted; a call that is under way elsewhere may still have some. A call of the
	// handler that has called it must not wait for room in WriteContext: the handshake begins when
	// the call has returned. Another goroutine pauses the connection before it writes the answer
	// that allows the switch: else the peer's first bytes of TLS may be shown as Data.
	//
	// nil means that the switch has begun, not that it is done: TLSStarted tells that, or the end
	// of the connection. The errors are those of the command.
	StartTLS(config *tls.Config) error

	// SetValue keeps v with the connection until the next SetValue; nil removes it. It is for state
	// that a handler needs again after a restart (see connection.RestartHandler), and for other
	// goroutines that hold the socket. The connection does nothing with it, and keeps it also after
	// its end.
	SetValue(v any)
	// Value returns the value of the last SetValue, nil if there was none.
	Value() any
	// Restarts returns how many handlers of this connection panicked and were replaced since the
	// last Become. For the current handler it equals Accepted.Restarts. Above 0 the conversation is
	// under way already.
	Restarts() int

	// SetTimeouts gives the connection limits of its own, which hold from now on: 30 s to log in,
	// then 10 minutes. The last call counts; it holds also for handlers that come after a restart.
	// An Idle or a Read that it changes counts from the call, MaxAge from the accept as ever: a
	// connection that is older gets Draining, unless it was told so before.
	SetTimeouts(t Timeouts)

	// TLS returns the state of the connection's TLS: the peer's certificates, the protocol that
	// ALPN chose, the server name. It is complete from Accepted on, with StartTLS from TLSStarted
	// on, and a value of the caller's own. nil: the connection has no TLS, or the handshake goes
	// on.
	TLS() *tls.ConnectionState
	// SyscallConn gives access to the descriptor, for socket options and for the credentials of a
	// unix socket's peer. Only Control does something: the bytes are the connection's. Its function
	// must not block. The error, also of Control after the end, is ErrNoDescriptor where the
	// transport has no socket of the system's.
	SyscallConn() (syscall.RawConn, error)

	// Info describes the connection at this moment.
	Info() Info
}

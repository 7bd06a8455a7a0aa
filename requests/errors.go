package requests

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/go-berth/berth/protocol"
)

var (
	// ErrTimeout ends a request whose answer has not come in time. It matches
	// os.ErrDeadlineExceeded. The peer may have done what it was asked for.
	ErrTimeout error = timeoutError{}
	// ErrNotConnected refuses a request while there is no connection.
	ErrNotConnected = errors.New("requests: not connected")
	// ErrTooMany refuses a request because MaxOutstanding requests are without an answer. Those of
	// a Pipeline that have ended without one count until it comes.
	ErrTooMany = errors.New("requests: too many outstanding")
	// ErrBadID refuses a request whose identifier is an interface with a value that cannot be
	// compared, such as a slice. An answer with such an identifier ends the connection.
	ErrBadID = errors.New("requests: an identifier that cannot be compared")
	// ErrDuplicateID refuses a request of a Mux whose identifier another one has that is without
	// an answer.
	ErrDuplicateID = errors.New("requests: an outstanding request has the same identifier")
	// ErrUnsolicited ends the connection of a Pipeline: an answer came that nothing asked for.
	// Where the peer sends such messages by design, NewPipeline has unsolicited.
	ErrUnsolicited = errors.New("requests: an answer came to no request")
	// ErrReplaced ends the requests that were outstanding when a Become gave their connection
	// another handler, which gets their answers. From then on there is no connection.
	ErrReplaced = errors.New("requests: another handler has taken the connection")
	// ErrInUse ends a second connection with the handler of a Pipeline or Mux that has one.
	ErrInUse = errors.New("requests: in use by another connection")
)

type timeoutError struct{}

func (timeoutError) Error() string        { return "requests: no answer in time" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Temporary() bool      { return true }
func (timeoutError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// ClosedError ends the requests that were outstanding when their connection ended. It unwraps to
// what ended it, or to protocol.ErrClosed, which matches net.ErrClosed. The peer may have done what
// it was asked for.
type ClosedError struct {
	Reason protocol.Reason
	Err    error // as in protocol.Closed; nil for an orderly end
}

// Error names the reason, and the cause if there is one.
func (e *ClosedError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("requests: connection ended: %v", e.Reason)
	}
	return fmt.Sprintf("requests: connection ended: %v: %v", e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *ClosedError) Unwrap() error {
	if e.Err == nil {
		return protocol.ErrClosed
	}
	return e.Err
}

// Options of a Pipeline or a Mux. The zero value is useful.
type Options struct {
	// MaxOutstanding bounds the requests without an answer. Default 1,024; negative: no limit.
	MaxOutstanding int
	// Timeout is how long a request waits for its answer, unless it says otherwise. Default 30 s;
	// negative: no limit.
	Timeout time.Duration
}

const (
	defaultMaxOutstanding = 1024
	defaultTimeout        = 30 * time.Second
)

func (o Options) withDefaults() Options {
	switch {
	case o.MaxOutstanding == 0:
		o.MaxOutstanding = defaultMaxOutstanding
	case o.MaxOutstanding < 0:
		o.MaxOutstanding = math.MaxInt
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	return o
}

// Request is Start as a message: any goroutine and any actor of the same process may send one to
// the PID of a connection with the handler of a Pipeline or a Mux. The sender gets one *Response.
type Request struct {
	// ID is the identifier in a Mux, of the Mux's type. A Pipeline does not use it.
	ID any
	// Data is what is sent. It belongs to the connection from now on.
	Data []byte
	// Timeout is as in Start.
	Timeout time.Duration
	Ack     any // comes back in the Response
}

// Response is the answer to a Request: a Value of the type of the Pipeline or Mux, or an error.
type Response struct {
	Ack   any
	Value any
	Err   error
}

package record

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// Options of recordings. Only Dir is required.
type Options struct {
	// Dir gets a file for each connection that is recorded. It must exist.
	Dir string
	// Payload records the bytes that clients send, and not only how many there are. They are as
	// secret as what the clients send. Without them a recording cannot be replayed as it was.
	Payload bool
	// MaxBytes is the most that one file has. What comes later is left out. 0: 1 MiB; the least is
	// 32 KiB.
	MaxBytes int64
	// MaxFiles is the most files that are made and kept. Connections beyond are not recorded. 0:
	// 100.
	MaxFiles int
	// Pick, if not nil, says whether to record a connection. It is called on the connection's turn.
	Pick func(protocol.Socket) bool
	// Keep, if not nil, says at the end of a connection whether to keep its file; see Failed. It is
	// called on the connection's turn.
	Keep func(*protocol.Closed) bool
	// Problem, if not nil, is told that a file cannot be made or written. Its connection goes on,
	// and is not recorded any more. It is called on the connection's turn.
	Problem func(error)
}

const (
	defaultBytes = 1 << 20
	leastBytes   = 32 << 10
	defaultFiles = 100
)

// Failed keeps the recordings of connections that their handler has ended, by an error or a panic.
// It is for Options.Keep.
func Failed(closed *protocol.Closed) bool {
	return closed.Reason == protocol.ReasonHandlerError || closed.Reason == protocol.ReasonHandlerPanic
}

// Handler records the connections of the handlers that factory makes. Each event is written to a
// file before the handler gets it, by one system call, on the connection's turn: this costs some
// microseconds, and is there after a crash of the process.
//
// A handler that a Become puts in the place of another is recorded in the same file.
// tcpactor.Frames belongs inside: around a recorded handler it leaves only the payloads to record,
// which are no stream to replay.
func Handler(factory tcpactor.Factory, options Options) (tcpactor.Factory, error) {
	switch info, err := os.Stat(options.Dir); {
	case options.Dir == "":
		return nil, errors.New("berth: no Dir for the recordings")
	case err != nil:
		return nil, fmt.Errorf("berth: the Dir for the recordings: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("berth: the Dir for the recordings is no directory: %s", options.Dir)
	case options.MaxBytes < 0 || options.MaxBytes > 0 && options.MaxBytes < leastBytes:
		return nil, fmt.Errorf("berth: MaxBytes of a recording is %d; the least is %d", options.MaxBytes, leastBytes)
	case options.MaxFiles < 0:
		return nil, fmt.Errorf("berth: MaxFiles of recordings is %d; the least is 1", options.MaxFiles)
	}
	if options.MaxBytes == 0 {
		options.MaxBytes = defaultBytes
	}
	if options.MaxFiles == 0 {
		options.MaxFiles = defaultFiles
	}
	r := &recorder{options: options, tapes: map[string]*tape{}}
	return tcpactor.WrapAll(factory, func(next tcpactor.Receiver) tcpactor.Receiver {
		return &recorded{recorder: r, next: next}
	}), nil
}

// recorder has the files of one Handler. Any goroutine may call its methods.
type recorder struct {
	options Options

	mu    sync.Mutex
	files int              // made and not removed
	tapes map[string]*tape // of live connections, by PID: the next handler goes on with it. nil: it is not recorded
}

// tape returns the file of a connection, a new one for its first handler. nil: it is not recorded.
func (r *recorder) tape(socket protocol.Socket, restarts int) *tape {
	id := socket.PID().GetId()
	r.mu.Lock()
	t, known := r.tapes[id]
	r.mu.Unlock()
	if known || restarts > 0 {
		return t
	}
	t = r.begin(socket)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tapes[id] = t
	return t
}

func (r *recorder) begin(socket protocol.Socket) *tape {
	if r.options.Pick != nil && !r.options.Pick(socket) || !r.take() {
		return nil
	}
	t, err := newTape(&r.options, socket)
	if err != nil {
		r.release()
		r.problem(err)
		return nil
	}
	return t
}

// forget says that a connection has ended.
func (r *recorder) forget(socket protocol.Socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tapes, socket.PID().GetId())
}

func (r *recorder) take() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files >= r.options.MaxFiles {
		return false
	}
	r.files++
	return true
}

func (r *recorder) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files--
}

// end closes the file of a connection that has ended.
func (r *recorder) end(t *tape, closed *protocol.Closed) {
	r.problem(t.file.Close())
	if r.options.Keep != nil && !r.options.Keep(closed) {
		r.problem(os.Remove(t.file.Name()))
		r.release()
	}
}

func (r *recorder) problem(err error) {
	if err != nil && r.options.Problem != nil {
		r.options.Problem(fmt.Errorf("berth: a recording: %w", err))
	}
}

// recorded is a handler that is recorded.
type recorded struct {
	*recorder
	next tcpactor.Receiver
	tape *tape // nil: it is not
}

// Receive implements tcpactor.Receiver.
func (r *recorded) Receive(ctx actor.Context, message any) error {
	if accepted, ok := message.(*protocol.Accepted); ok {
		if r.tape = r.recorder.tape(accepted.Socket, accepted.Restarts); r.tape != nil && r.tape.busy {
			r.tape = nil // another one around this one records the connection
		}
	}
	if closed, ok := message.(*protocol.Closed); ok {
		r.forget(closed.Socket)
	}
	if r.tape == nil {
		return r.next.Receive(ctx, message)
	}
	return r.record(ctx, message)
}

// record writes what the handler gets, and what becomes of the call. A panic goes on, with the
// frames of the handler on the stack.
func (r *recorded) record(ctx actor.Context, message any) (err error) {
	t := r.tape
	r.problem(t.before(message))
	returned, before := false, t.busy
	t.busy = true
	defer func() {
		t.busy = before
		if !returned {
			value := recover()
			r.problem(t.panicked(message, value))
			r.ended(message)
			if value != nil {
				panic(value)
			}
			return
		}
		r.problem(t.after(message, err))
		r.ended(message)
	}()
	err = r.next.Receive(ctx, message)
	returned = true
	return err
}

func (r *recorded) ended(message any) {
	if closed, ok := message.(*protocol.Closed); ok {
		r.end(r.tape, closed)
		r.tape = nil
	}
}

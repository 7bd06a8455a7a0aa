package history

import (
	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// Watch returns a factory with the handlers of factory. It records every call, and every operation
// through the sockets they get. The handlers that a Become of such a socket names are watched too.
func (r *Recorder) Watch(factory tcpactor.Factory) tcpactor.Factory { return &watched{r, factory, 0} }

// watch is Watch for the factory of a Become. One that makes no handlers stays as it is.
func (r *Recorder) watch(factory tcpactor.Factory, of int) tcpactor.Factory {
	if factory == nil {
		return nil
	}
	return &watched{r, factory, of}
}

type watched struct {
	recorder *Recorder
	factory  tcpactor.Factory
	of       int // the Become that named it, 0: none
}

// Open implements tcpactor.Factory.
func (w *watched) Open() tcpactor.Receiver {
	return &receiver{recorder: w.recorder, inner: w.factory.Open(), number: w.recorder.handler(), of: w.of}
}

// Validate asks the factory itself.
func (w *watched) Validate() error {
	if d, ok := w.factory.(interface{ Validate() error }); ok {
		return d.Validate()
	}
	return nil
}

// receiver stands between a connection and its handler. Its fields belong to the connection's turn.
type receiver struct {
	recorder   *Recorder
	inner      tcpactor.Receiver
	socket     *Socket
	conn       int
	number     int            // of all handlers
	of         int            // the Become that it came with, 0: none
	delivering protocol.Event // a native actor gets an event through a second Receive inside the first
	failed     bool           // before Accepted
}

// Drains implements tcpactor.Drainer.
func (r *receiver) Drains() bool {
	d, ok := r.inner.(tcpactor.Drainer)
	return ok && d.Drains()
}

// Receive implements tcpactor.Receiver.
func (r *receiver) Receive(ctx actor.Context, message any) error {
	switch m := message.(type) {
	case protocol.Event:
		if m == r.delivering {
			return r.inner.Receive(ctx, message)
		}
		return r.event(ctx, m)
	case actor.SystemMessage, actor.AutoReceiveMessage:
		return r.life(ctx, message)
	case *Task:
		return r.call(ctx, message, Record{Call: Message, Of: m.id}, nil)
	default:
		return r.call(ctx, message, Record{Call: Message}, nil)
	}
}

// life delivers a message of the actor's own life. It is no call, and only a failure in it is
// recorded: as the end of one.
func (r *receiver) life(ctx actor.Context, message any) error {
	returned := false
	defer func() {
		r.failed = r.failed || !returned
		r.tellFailure()
	}()
	err := r.inner.Receive(ctx, message)
	returned = true
	return err
}

// tellFailure waits until the connection has a number.
func (r *receiver) tellFailure() {
	if r.failed && r.conn != 0 {
		r.failed = false
		r.recorder.add(Record{What: Leave, Conn: r.conn, Failed: true})
	}
}

func (r *receiver) event(ctx actor.Context, event protocol.Event) error {
	before := r.delivering
	r.delivering = event
	defer func() { r.delivering = before }()
	var enter Record
	var buffer *protocol.Buffer
	switch m := event.(type) {
	case *protocol.Accepted:
		if r.socket == nil {
			r.conn = r.recorder.accepted(m.Socket)
			r.socket = r.recorder.Socket(m.Socket, r.conn, Turn(r.conn))
			r.tellFailure()
		}
		m.Socket = r.socket
		enter.Call, enter.N, enter.Of = Accepted, m.Restarts, r.of
	case *protocol.Data:
		buffer = m.Buffer
		m.Socket = r.socket
		enter.Call, enter.Bytes, enter.EOF = Data, m.Buffer.Bytes(), m.EOF
	case *protocol.PeerClosed:
		m.Socket = r.socket
		enter.Call = PeerClosed
	case *protocol.Writable:
		m.Socket = r.socket
		enter.Call, enter.Ready = Writable, m.Ready
	case *protocol.Draining:
		m.Socket = r.socket
		enter.Call = Draining
	case *protocol.TLSStarted:
		m.Socket = r.socket
		enter.Call = TLSStarted
	case *protocol.Closing:
		m.Socket = r.socket
		closing := *m
		enter.Call, enter.Closing = EndBegun, &closing
		if m.Reason == protocol.ReasonSlowConsumer {
			enter.Room = r.recorder.measure(r.conn)
		}
	case *protocol.Closed:
		m.Socket = r.socket
		closed := *m
		enter.Call, enter.Closed = Closed, &closed
	}
	return r.call(ctx, event, enter, buffer)
}

// call delivers a message between its two records.
func (r *receiver) call(ctx actor.Context, message any, enter Record, buffer *protocol.Buffer) (err error) {
	enter.What, enter.Conn, enter.Handler = Enter, r.conn, r.number
	leave := Record{What: Leave, Call: enter.Call, Conn: r.conn, ID: r.recorder.begin(enter), Failed: true}
	defer func() {
		leave.Err = err
		if buffer != nil {
			leave.N, leave.Need = len(enter.Bytes)-buffer.Len(), buffer.Needed()
		}
		r.recorder.add(leave)
	}()
	err = r.inner.Receive(ctx, message)
	leave.Failed = false
	return err
}

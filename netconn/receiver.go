package netconn

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// receiver is the handler of one connection: it passes the events on to the Conn.
type receiver struct {
	factory *factory
	conn    *Conn
	running <-chan struct{} // closed when what begin started has returned; nil: it started nothing
}

// factory makes the handlers of one kind.
type factory struct {
	inline bool                        // a Read may run the connection's turn
	drains bool                        // a shutdown leaves the connection to the program
	begin  func(*Conn) <-chan struct{} // takes a Conn over; the channel is closed once that is done
	late   *functions                  // nil: begin starts none
}

// Open implements tcpactor.Factory.
func (f *factory) Open() tcpactor.Receiver { return &receiver{factory: f} }

var errRestarted = errors.New("netconn: a Conn cannot be handed to a new handler: leave RestartHandler off")

// Receive implements tcpactor.Receiver.
func (r *receiver) Receive(ctx actor.Context, message any) error {
	switch m := message.(type) {
	case *protocol.Data:
		r.conn.data(m.Buffer)
	case *protocol.Accepted:
		if m.Restarts > 0 {
			return errRestarted
		}
		r.conn = newConn(m.Socket, r.factory.inline)
		r.running = r.factory.begin(r.conn)
	case *protocol.PeerClosed:
		r.conn.peerClosed()
	case *protocol.Closing:
		if r.conn != nil {
			r.conn.closing(m.Reason)
		}
	case *protocol.Closed:
		r.closed()
	case *actor.Restarting:
		if r.conn != nil && tcpactor.Replaced(r.conn.socket, message) {
			if r.running != nil {
				r.factory.late.add(r.conn.socket, r.running)
			}
			r.conn.replaced()
		}
	case *protocol.Writable, *protocol.Draining:
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Terminated:
	default:
		envelope := &actor.MessageEnvelope{Message: message, Sender: ctx.Sender()}
		ctx.ActorSystem().DeadLetter.SendUserMessage(ctx.Self(), envelope)
	}
	return nil
}

func (r *receiver) closed() {
	if r.conn == nil {
		return
	}
	r.conn.over()
	if r.running != nil {
		<-r.running
		r.factory.late.wait(r.conn.socket)
	}
}

// Drains implements tcpactor.Drainer.
func (r *receiver) Drains() bool { return r.factory.drains }

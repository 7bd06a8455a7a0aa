package tcpactor

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// Functions is a Factory of three functions that thread a state of type S through one connection's
// life, the form that Berth's ancestor had. Read is required; a nil Accept starts with S's zero
// value, a nil Close does nothing.
//
// Closing is a fourth function, usually nil, for programs that register their connections
// elsewhere: it is called as soon as the connection has begun to end (see protocol.Closing). Close
// is called once the connection has ended.
//
// The state after an error is the one returned with it.
type Functions[S any] struct {
	Accept func(socket protocol.Socket) (S, error)
	Read   func(state S, socket protocol.Socket, buffer *protocol.Buffer) (S, error)
	Close  func(state S, closed *protocol.Closed)

	Closing func(state S, closing *protocol.Closing) S
}

// Open implements Factory.
func (f Functions[S]) Open() Receiver { return &functionsReceiver[S]{functions: f} }

// Validate returns one sentence if Read is missing.
func (f Functions[S]) Validate() error {
	if f.Read == nil {
		return errors.New("berth: Functions needs a Read")
	}
	return nil
}

type functionsReceiver[S any] struct {
	functions Functions[S]
	state     S
}

func (r *functionsReceiver[S]) Receive(ctx actor.Context, message any) (err error) {
	switch m := message.(type) {
	case *protocol.Accepted:
		if r.functions.Accept != nil {
			r.state, err = r.functions.Accept(m.Socket)
		}
	case *protocol.Data:
		r.state, err = r.functions.Read(r.state, m.Socket, m.Buffer)
	case *protocol.Closing:
		if r.functions.Closing != nil {
			r.state = r.functions.Closing(r.state, m)
		}
	case *protocol.Closed:
		if r.functions.Close != nil {
			r.functions.Close(r.state, m)
		}
	case *protocol.PeerClosed, *protocol.Writable, *protocol.Draining, *protocol.TLSStarted:
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting:
	default:
		deadLetter(ctx, message)
	}
	return err
}

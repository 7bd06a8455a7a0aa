package requests

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// nothing is the handler where the program has none.
var nothing = tcpactor.HandlerFunc(func(protocol.Socket, *protocol.Buffer) error { return nil })

func (x *exchange[K, R]) handler(next tcpactor.Factory) tcpactor.Factory {
	if x.newTake == nil {
		return unread{}
	}
	if next == nil {
		next = nothing
	}
	return tcpactor.Wrap(next, func(next tcpactor.Receiver) tcpactor.Receiver {
		return &receiver[K, R]{x: x, next: next}
	})
}

// unread is the handler where no function reads the answers: Dial refuses it.
type unread struct{}

// Open implements tcpactor.Factory.
func (unread) Open() tcpactor.Receiver { return nil }

// Validate returns one sentence.
func (unread) Validate() error {
	return errors.New("requests: no function that makes a function to read answers: it is nil")
}

type receiver[K comparable, R any] struct {
	x      *exchange[K, R]
	next   tcpactor.Receiver
	socket protocol.Socket // from Accepted on
	take   take[K, R]      // likewise
}

// Receive implements tcpactor.Receiver.
func (r *receiver[K, R]) Receive(ctx actor.Context, message any) error {
	switch m := message.(type) {
	case *protocol.Data:
		return r.take.all(m.Buffer)
	case *Request:
		if m != nil {
			r.ask(ctx, m)
		}
		return nil
	case *protocol.Accepted:
		if err := r.x.attach(m.Socket); err != nil {
			return err
		}
		r.socket, r.take = m.Socket, r.x.newTake()
	case *actor.Restarting:
		if tcpactor.Replaced(r.socket, message) {
			defer r.x.detach(r.socket, ErrReplaced)
		}
	case *protocol.PeerClosed: // no answer comes any more
		defer r.x.detach(r.socket, &ClosedError{Reason: protocol.ReasonPeerClosed})
	case *protocol.Closing:
		// What the peer sent before its reset is still shown. In every other end all was shown, or
		// nothing is any more.
		if m.Reason != protocol.ReasonPeerReset && m.Reason != protocol.ReasonTransportError {
			defer r.x.detach(r.socket, &ClosedError{m.Reason, m.Err})
		}
	case *protocol.Closed:
		defer r.x.detach(r.socket, &ClosedError{m.Reason, m.Err})
	}
	return r.next.Receive(ctx, message)
}

// Ungated implements tcpactor.Ungated. A peer that answers may wait for its answers to be read
// before it reads more requests: then waiting for the requests to be written would be for ever.
func (r *receiver[K, R]) Ungated() bool { return true }

// ask is Start for an actor.
func (r *receiver[K, R]) ask(ctx actor.Context, m *Request) {
	sender, root := ctx.Sender(), ctx.ActorSystem().Root
	respond := func(response *Response) {
		if sender != nil {
			root.Send(sender, response)
		}
	}
	var id K
	if _, inOrder := any(id).(struct{}); !inOrder {
		var is bool
		if id, is = m.ID.(K); !is {
			respond(&Response{Ack: m.Ack, Err: fmt.Errorf("requests: the ID is a %T and should be a %T", m.ID, id)})
			return
		}
	}
	_, err := r.x.start(id, m.Data, r.x.until(m.Timeout), func(answer R, err error) {
		if err != nil {
			respond(&Response{Ack: m.Ack, Err: err})
		} else {
			respond(&Response{Ack: m.Ack, Value: answer})
		}
	})
	if err != nil {
		respond(&Response{Ack: m.Ack, Err: err})
	}
}

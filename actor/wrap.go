package tcpactor

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// ReceiverFunc is a Receiver that is a function.
type ReceiverFunc func(ctx actor.Context, message any) error

// Receive implements Receiver.
func (f ReceiverFunc) Receive(ctx actor.Context, message any) error { return f(ctx, message) }

// Wrap puts code around the handlers that factory makes, of any form. around is called for each
// handler, as next. The Receiver that it returns gets every message of the connection first, and
// calls next to go on. Optional methods of a handler are kept.
func Wrap(factory Factory, around func(next Receiver) Receiver) Factory {
	return wrapped{factory, around, false}
}

// WrapAll is Wrap around all handlers of a connection: also around those that a Become puts in the
// place of the first one, whatever their factory is. around is called for each of them.
func WrapAll(factory Factory, around func(next Receiver) Receiver) Factory {
	return wrapped{factory, around, true}
}

type wrapped struct {
	factory Factory
	around  func(Receiver) Receiver
	stays   bool
}

// Open implements Factory.
func (w wrapped) Open() Receiver {
	inner := w.factory.Open()
	return &wrappedReceiver{inner: inner, outer: made(w.around(inner), errNoReceiverMade)}
}

// Validate returns one sentence if a part is missing. It asks the factory that is wrapped, if there
// is something to ask.
func (w wrapped) Validate() error {
	switch {
	case w.factory == nil:
		return errors.New("berth: Wrap needs a handler to wrap")
	case w.around == nil:
		return errors.New("berth: Wrap needs a function to put around the handler")
	}
	if v, ok := w.factory.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// Keep implements Keeper.
func (w wrapped) Keep(next Factory) Factory {
	next = Keep(w.factory, next)
	if w.stays {
		return wrapped{next, w.around, true}
	}
	return next
}

type wrappedReceiver struct {
	inner, outer Receiver
	event        any // the event under way; nil: none
}

// Receive implements Receiver. An event that comes up during another message reaches an actor
// through the connection, and so comes here a second time. Then it has passed the outer Receiver
// already.
func (r *wrappedReceiver) Receive(ctx actor.Context, message any) error {
	if !recurs(message) {
		return r.outer.Receive(ctx, message)
	}
	if r.event == message {
		return r.inner.Receive(ctx, message)
	}
	before := r.event
	r.event = message
	defer func() { r.event = before }()
	return r.outer.Receive(ctx, message)
}

// recurs reports whether message is one of those that may come a second time. They are pointers, so
// they can be compared.
func recurs(message any) bool {
	switch message.(type) {
	case protocol.Event, *actor.Started, *actor.Restarting:
		return true
	}
	return false
}

// Drains implements Drainer for the handler that is wrapped.
func (r *wrappedReceiver) Drains() bool {
	d, ok := r.inner.(Drainer)
	return ok && d.Drains()
}

// Ungated implements Ungated for both.
func (r *wrappedReceiver) Ungated() bool { return ungated(r.outer) || ungated(r.inner) }

func ungated(r Receiver) bool {
	u, is := r.(Ungated)
	return is && u.Ungated()
}

package tcpactor

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// Handler gets the bytes of one connection, one call at a time. Each connection has a value of its
// own. A handler may block: only its own connection waits.
//
// More methods are optional: those of AcceptedHandler, ClosedHandler, ClosingHandler,
// PeerClosedHandler, WritableHandler, DrainingHandler, TLSStartedHandler and MessageHandler. A
// value that wraps a handler hides them; Wrap keeps them. A method of such a name that takes a
// Socket first, and does not fit, would never be called: it ends each connection with one sentence.
//
// An error that a method returns closes the connection, with ReasonHandlerError. After the
// connection has begun to end, a method may return the error of a write that was refused for that
// reason: the error changes nothing and counts as no failure.
type Handler interface {
	// Data shows the unread bytes; what it does not consume stays. buffer is valid during the call
	// only.
	Data(socket protocol.Socket, buffer *protocol.Buffer) error
}

// HandlerFunc is a Handler without a state, and the Factory that makes it: one function for all
// connections.
type HandlerFunc func(socket protocol.Socket, buffer *protocol.Buffer) error

// Data implements Handler.
func (f HandlerFunc) Data(socket protocol.Socket, buffer *protocol.Buffer) error {
	return f(socket, buffer)
}

// Open implements Factory.
func (f HandlerFunc) Open() Receiver { return &handlerReceiver{handler: f} }

// Validate returns one sentence if there is no function.
func (f HandlerFunc) Validate() error {
	if f == nil {
		return errors.New("berth: no HandlerFunc: it is nil")
	}
	return nil
}

// AcceptedHandler is told that the connection is open: once and first. An error closes the
// connection.
type AcceptedHandler interface {
	Accepted(socket protocol.Socket) error
}

// ClosedHandler is told that the connection has ended, whatever ended it: once and last.
type ClosedHandler interface {
	Closed(socket protocol.Socket, closed *protocol.Closed)
}

// PeerClosedHandler gets the peer's FIN; see Options.KeepOpenOnPeerClosed.
type PeerClosedHandler interface {
	PeerClosed(socket protocol.Socket) error
}

// WritableHandler gets the write queue's water marks; see Options.HighWater.
type WritableHandler interface {
	Writable(socket protocol.Socket, ready bool) error
}

// DrainingHandler is told that the server shuts down, or that the connection reached its MaxAge,
// and then decides itself when to Close. Without this method a connection is closed once it is
// quiet.
type DrainingHandler interface {
	Draining(socket protocol.Socket, deadline time.Time) error
}

// TLSStartedHandler is told that the handshake of a StartTLS is done. An error closes the
// connection. See protocol.TLSStarted.
type TLSStartedHandler interface {
	TLSStarted(socket protocol.Socket) error
}

// ClosingHandler is told that the connection has begun to end, as soon as that is known. Closed
// comes once everything accepted is flushed, which may be seconds later. See protocol.Closing.
type ClosingHandler interface {
	Closing(socket protocol.Socket, closing *protocol.Closing)
}

// MessageHandler gets every other message sent to the connection's PID; without it they are dead
// letters. ctx is valid during the call; use ctx.Sender and ctx.Respond to answer.
type MessageHandler interface {
	Message(ctx actor.Context, socket protocol.Socket, message any) error
}

// Handlers is the Go form: it makes one Handler per connection.
func Handlers(newHandler func() Handler) Factory { return handlers(newHandler) }

type handlers func() Handler

func (h handlers) Open() Receiver {
	return &handlerReceiver{handler: fits(made(h(), errNoHandlerMade))}
}

// Validate returns one sentence if there is no function.
func (h handlers) Validate() error {
	if h == nil {
		return errors.New("berth: Handlers needs a function that makes a Handler")
	}
	return nil
}

type handlerReceiver struct {
	handler Handler
	socket  protocol.Socket // from Accepted on
}

func (r *handlerReceiver) Receive(ctx actor.Context, message any) error {
	switch m := message.(type) {
	case *protocol.Data:
		return r.handler.Data(m.Socket, m.Buffer)
	case *protocol.Accepted:
		r.socket = m.Socket
		if h, ok := r.handler.(AcceptedHandler); ok {
			return h.Accepted(m.Socket)
		}
	case *protocol.Closed:
		if h, ok := r.handler.(ClosedHandler); ok {
			h.Closed(m.Socket, m)
		}
	case *protocol.PeerClosed:
		if h, ok := r.handler.(PeerClosedHandler); ok {
			return h.PeerClosed(m.Socket)
		}
	case *protocol.Writable:
		if h, ok := r.handler.(WritableHandler); ok {
			return h.Writable(m.Socket, m.Ready)
		}
	case *protocol.Draining:
		if h, ok := r.handler.(DrainingHandler); ok {
			return h.Draining(m.Socket, m.Deadline)
		}
	case *protocol.TLSStarted:
		if h, ok := r.handler.(TLSStartedHandler); ok {
			return h.TLSStarted(m.Socket)
		}
	case *protocol.Closing:
		if h, ok := r.handler.(ClosingHandler); ok {
			h.Closing(m.Socket, m)
		}
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting:
		// Messages of the actor's own life; a handler gets those of the connection.
	default:
		if h, ok := r.handler.(MessageHandler); ok {
			return h.Message(ctx, r.socket, message)
		}
		deadLetter(ctx, message)
	}
	return nil
}

// Drains implements Drainer.
func (r *handlerReceiver) Drains() bool {
	_, ok := r.handler.(DrainingHandler)
	return ok
}

func deadLetter(ctx actor.Context, message any) {
	if _, ok := message.(*actor.Terminated); ok {
		return // no watch of Berth's asked for it
	}
	envelope := &actor.MessageEnvelope{Message: message, Sender: ctx.Sender()}
	ctx.ActorSystem().DeadLetter.SendUserMessage(ctx.Self(), envelope)
}

package tcpactor

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// Actors is the Proto.Actor form: the user's own actor is the connection's actor. Its Receive gets
// the events of package protocol, every other message sent to the PID, and Proto.Actor's own
// (Started before Accepted, Stopping and Stopped around the end); it may spawn children, watch,
// become. To end the connection it sends a command through the Socket, or panics.
//
// With connection.RestartHandler an actor that panics gets Restarting, its children are stopped,
// and once they have ended a new actor gets Started and Accepted. The actors that the old one
// watched stay watched.
func Actors(newActor func() actor.Actor) Factory { return actors(newActor) }

type actors func() actor.Actor

func (a actors) Open() Receiver { return &nativeReceiver{user: made(a(), errNoActorMade)} }

// Validate returns one sentence if there is no function.
func (a actors) Validate() error {
	if a == nil {
		return errors.New("berth: Actors needs a function that makes an actor")
	}
	return nil
}

type nativeReceiver struct{ user actor.Actor }

func (r *nativeReceiver) Receive(ctx actor.Context, message any) error {
	if nested(ctx, message) {
		// A nested Receive makes the event ctx.Message(); it comes back here by way of the
		// connection, which recognises what it is delivering.
		ctx.Receive(&actor.MessageEnvelope{Message: message})
	} else {
		r.user.Receive(ctx)
	}
	return nil
}

// nested reports whether an event came up while another message was handled. Only events can, and
// they are pointers; comparing any message would panic for types that have no ==.
func nested(ctx actor.Context, message any) bool {
	switch message.(type) {
	case protocol.Event, *actor.Started, *actor.Restarting:
		return ctx.Message() != message
	}
	return false
}

package tcpactor

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// Factory makes the receiver of one connection: Handlers, Functions or Actors. The factories differ
// in how a handler is written; the guarantees are the same behind each.
type Factory = protocol.Factory

// Receiver is a handler as the connection sees it.
type Receiver = protocol.Receiver

// Drainer is an optional part of a Receiver. With it the Receiver itself decides when to close on a
// shutdown, or at the connection's MaxAge. Other connections are closed once they are quiet.
type Drainer interface{ Drains() bool }

// Ungated is an optional part of a Receiver. With it Data comes whatever is pending of the
// connection's own writes, as with connection.GateOff: the input is not asked for by what was
// written before, or it is the answers to that. Package requests has it.
type Ungated interface{ Ungated() bool }

// Keeper is an optional part of a Factory of which something is to stay when a Become replaces the
// handler: Become gives Keep the new factory, and goes on with what that returns. See WrapAll.
type Keeper interface{ Keep(next Factory) Factory }

// Keep returns next within what is to stay of old: next itself where that is nothing.
func Keep(old, next Factory) Factory {
	if k, is := old.(Keeper); is {
		return k.Keep(next)
	}
	return next
}

// Replaced reports whether message tells a Receiver that a Become has put another in its place. The
// Receiver gets nothing more, except where the connection ends at this moment: then it gets Closing
// and Closed. socket is that of its Accepted, nil before.
func Replaced(socket protocol.Socket, message any) bool {
	_, leaves := message.(*actor.Restarting)
	return leaves && socket != nil && socket.Restarts() == 0 // a panic is counted before
}

// What a factory's function may not return is nil. The panic is taken for the handler's: it ends
// the connection with this sentence.
var (
	errNoHandlerMade  = errors.New("berth: no Handler: the function given to Handlers returned nil")
	errNoActorMade    = errors.New("berth: no actor: the function given to Actors returned nil")
	errNoReceiverMade = errors.New("berth: no Receiver: the function given to Wrap returned nil")
	errNoDecoderMade  = errors.New("berth: no decoder: the function given to Frames returned nil")
)

func made[T any](v T, none error) T {
	if any(v) == nil {
		panic(none)
	}
	return v
}

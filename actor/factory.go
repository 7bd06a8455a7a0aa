package tcpactor

import (
	"github.com/asynkron/protoactor-go/actor"
)

// Factory makes the receiver of one connection: Handlers, Functions or Actors. The factories differ
// in how a handler is written; the guarantees are the same behind each.
type Factory interface {
	// Open is called once per connection, on the connection's own turn, before Accepted; again for
	// each handler that replaces one that panicked.
	Open() Receiver
}

// Receiver is a handler as the connection sees it.
type Receiver interface {
	// Receive handles one message on the connection's turn: an event of package protocol, or any
	// other message sent to the connection's PID. An error, or a panic, ends the connection with
	// that reason. Not every message is ctx.Message(): some events come up while another message is
	// handled.
	Receive(ctx actor.Context, message any) error
}

// Drainer is an optional part of a Receiver. With it the Receiver itself decides when to close on a
// shutdown, or at the connection's MaxAge. Other connections are closed once they are quiet.
type Drainer interface{ Drains() bool }

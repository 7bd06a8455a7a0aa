package protocol

import "github.com/asynkron/protoactor-go/actor"

// Factory makes what handles one connection. Those of package actor are Handlers, HandlerFunc,
// Functions and Actors; Wrap and Frames change others. The guarantees are the same behind each.
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

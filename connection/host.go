package connection

import (
	"runtime"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// deliver calls the handler. A failure there ends this connection, or only its handler, and nothing
// else.
func (c *Connection) deliver(ctx actor.Context, message any) {
	if c.flags.tenure != serving && !final(message) {
		return // a new handler is reminded of what still holds
	}
	c.try(ctx, message)
	c.replace(ctx)
}

// try calls the handler, guarded. A handler that panics may be left broken, for replace.
func (c *Connection) try(ctx actor.Context, message any) {
	if c.receiver == nil {
		return
	}
	returned := false
	defer c.guard(ctx, &returned)
	defer c.delivered(c.flags.delivering)
	c.flags.delivering = c.flags.delivering || ours(message)
	err := c.receiver.Receive(ctx, message)
	orderly := err != nil && c.reaction(err) // before returned: the error's own Is is the user's code
	returned = true
	switch {
	case orderly:
		c.wantNoInput()
		c.finish(ctx, c.cause.Load().reason, nil)
	case err != nil:
		c.failed(ctx, protocol.ReasonHandlerError, err)
	}
}

func (c *Connection) delivered(before bool) { c.flags.delivering = before }

// ours reports whether message is one that the connection makes for its handler. While another
// message is delivered, such a message comes to Receive only by a nested delivery, or because the
// handler made it itself.
func ours(message any) bool {
	switch message.(type) {
	case protocol.Event, *actor.Started, *actor.Restarting:
		return true
	}
	return false
}

// call runs a completion. A completion is the handler's code like its methods.
func (c *Connection) call(ctx actor.Context, one completion) {
	c.tryCall(ctx, one)
	c.replace(ctx)
}

func (c *Connection) tryCall(ctx actor.Context, one completion) {
	returned := false
	defer c.guard(ctx, &returned)
	one.done(one.err)
	returned = true
	runtime.KeepAlive(c) // see Enclosing
}

// host gives a connection that has just opened its handler.
func (c *Connection) host(ctx actor.Context) {
	c.install(ctx, false)
	c.replace(ctx)
}

// install makes a handler and opens the conversation with it. A factory that panics may leave
// things as they are, for replace. again says that it is not the connection's first one.
func (c *Connection) install(ctx actor.Context, again bool) {
	if c.makeHandler(ctx) {
		c.flags.tenure = serving
		c.forgetNeed()
		if r := c.rare.Load(); r != nil {
			r.became = true
		}
		c.greet(ctx, again)
	}
}

func (c *Connection) makeHandler(ctx actor.Context) (made bool) {
	defer c.guard(ctx, &made)
	c.receiver = c.factory().Open()
	c.noteGate()
	return true
}

// guard is deferred around every piece of the user's code.
func (c *Connection) guard(ctx actor.Context, returned *bool) {
	if *returned {
		return
	}
	if value := recover(); value != nil {
		c.panicked(ctx, &protocol.PanicError{Value: value, Stack: debug.Stack()})
		return
	}
	// runtime.Goexit: the goroutine ends, the mailbox escalates, and our supervisor stops us. A new
	// handler would not help: the goroutine may be the one that reads the socket.
	c.setCause(protocol.ReasonHandlerPanic, protocol.ErrGoexit)
}

// Failed implements tcpactor.FailureTaker: user's code that Proto.Actor itself runs has failed. The
// failure ends this connection, or only its handler, as if try had called the code.
func (c *Connection) Failed(ctx actor.Context, message, reason any) (taken bool) {
	if !tcpactor.RunsUserCode(message) {
		return false
	}
	if reason == nil {
		c.setCause(protocol.ReasonHandlerPanic, protocol.ErrGoexit)
		return false
	}
	c.panicked(ctx, &protocol.PanicError{Value: reason, Stack: debug.Stack()})
	c.replace(ctx)
	return true
}

// failed ends the connection because of its handler, which is shown no more input. Accepted writes
// are still flushed: one may be the error message for the peer.
func (c *Connection) failed(ctx actor.Context, reason protocol.Reason, err error) {
	c.wantNoInput()
	c.publishHandlerFailed(reason, err, false)
	c.finish(ctx, reason, err)
}

// tenure is the stage of a handler's life with the connection.
type tenure uint8

const (
	none      tenure = iota // there is no handler yet
	serving                 // it gets every event
	broken                  // it panicked, or had to make room for another, and is to be replaced
	dismissed               // it has been told, and its children are to stop
)

// panicked decides what happens after the panic of a handler, or of its factory.
func (c *Connection) panicked(ctx actor.Context, err error) {
	const reason = protocol.ReasonHandlerPanic
	if c.flags.tenure != broken && !c.mayRestart() { // broken: in its Restarting, and it goes anyway
		c.failed(ctx, reason, err)
		return
	}
	c.flags.tenure = max(c.flags.tenure, broken) // dismissed stays: no successor was made
	c.publishHandlerFailed(reason, err, true)
}

// mayRestart reports whether a panic leaves the connection as it is, and counts it.
func (c *Connection) mayRestart() bool {
	limit := c.shared.options.RestartHandler
	if limit.Max == 0 || c.state() != open || c.cause.Load() != nil {
		return false
	}
	rare := c.makeRare()
	if !rare.restarts.take(limit, c.shared.now()) {
		return false
	}
	rare.replaced.Add(1)
	return true
}

// final reports whether message belongs to the end of a connection. Then the last handler gets it,
// even a broken one.
func final(message any) bool {
	switch message.(type) {
	case *protocol.Closing, *protocol.Closed, *actor.Stopping, *actor.Stopped:
		return true
	}
	return false
}

// replace puts a new handler in the place of one that is broken. If children of the old one have to
// end first, childEnded goes on.
func (c *Connection) replace(ctx actor.Context) {
	for c.flags.tenure > serving && c.dismiss(ctx) {
		if c.cause.Load() != nil {
			c.flags.tenure = serving // the end has come meanwhile: the old one gets Closed
			c.wantNoInput()
		} else {
			c.install(ctx, true)
		}
	}
}

// dismiss does what Proto.Actor does before it makes an actor anew: it tells the old one, and stops
// its children. It returns false if some of them have not ended yet. Until they have, neither mail
// nor input is read.
func (c *Connection) dismiss(ctx actor.Context) bool {
	if c.flags.tenure == broken {
		c.try(ctx, &actor.Restarting{})
		c.flags.tenure = dismissed
		ctx.CancelReceiveTimeout()
		children := ctx.Children()
		if len(children) > 0 {
			c.mailbox.PostSystemMessage(suspendMessage)
		}
		for _, child := range children {
			ctx.Stop(child)
		}
	}
	return len(ctx.Children()) == 0
}

var (
	suspendMessage = &actor.SuspendMailbox{}
	resumeMessage  = &actor.ResumeMailbox{}
)

// childEnded goes on with replace.
func (c *Connection) childEnded(ctx actor.Context) {
	c.replace(ctx)
	c.answerBecome(ctx)
	if c.flags.tenure == serving {
		c.mailbox.PostSystemMessage(resumeMessage)
	}
}

// greet opens the conversation with a handler.
func (c *Connection) greet(ctx actor.Context, again bool) {
	accepted := &protocol.Accepted{Socket: c, Restarts: c.Restarts()}
	c.try(ctx, &actor.Started{})
	if c.flags.tenure == serving {
		c.phase.Or(met)
		c.try(ctx, accepted)
	}
	if c.flags.tenure == serving && again {
		c.remind()
	}
}

// remind gives a new handler the unread bytes, and the events that the handler before it got and
// that still hold.
func (c *Connection) remind() {
	if c.flags.forced = unforced; c.input.Len() > 0 {
		c.flags.forced = due
	}
	c.flags.inputKnown = false
	if c.flags.highTold {
		c.flags.highTold = false
		c.signals.Or(signalWater)
	}
	if c.flags.draining {
		c.flags.draining = false
		c.signals.Or(signalDrain)
	}
	if c.flags.aged {
		c.flags.aged = false
		c.signals.Or(signalAged)
	}
}

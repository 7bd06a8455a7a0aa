package connection

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// RestartHandler limits how often a handler that panics is replaced by a new one on the same socket. The zero value: never, a panic
// closes the connection. One panic too many closes it with ReasonHandlerPanic.
//
// The value that panicked is thrown away. The new one, from the same factory, gets Accepted (an actor gets Started before), then the
// unread bytes as Data, even if no new ones come. What the failed call had consumed is consumed; a message it was handling is
// lost. Writes accepted before stay queued, and their completions still run. Pause, demand, addresses and PID stay as they are. What still holds and the
// old value knew of, the new one is told again: Writable not ready, Draining, PeerClosed.
//
// A panic in Accepted, in a completion or in the factory counts as any other. Nothing is restarted on a connection that is ending
// already, so not in Closed, and not after Close; nor by an error that is returned, nor by runtime.Goexit: those end the connection.
type RestartHandler struct {
	// Max is how many panics there may be Within the time. It cannot be negative: a handler that panics on the same bytes would do so
	// for ever.
	Max int
	// Within is the time over which panics are counted. Default 10 s where there is a Max. Off: the connection's whole life.
	Within time.Duration
}

func (r RestartHandler) validate() error {
	switch {
	case r.Max < 0:
		return fmt.Errorf("berth: RestartHandler.Max %d must not be negative: a handler that panics on the same bytes would do so for ever", r.Max)
	case r.Max == 0 && r.Within > 0:
		return fmt.Errorf("berth: RestartHandler.Within %v has no Max", r.Within)
	}
	return nil
}

// tenure is where a handler stands in its time with the connection.
type tenure uint8

const (
	serving   tenure = iota
	broken           // it panicked and is to be replaced
	dismissed        // it knows, and its children are to stop
)

// restarts counts those of one connection.
type restarts struct {
	recent []time.Duration // when, within RestartHandler.Within; oldest first
}

// take counts one more, if the limit allows it.
func (r *restarts) take(limit RestartHandler, now time.Duration) bool {
	for limit.Within > 0 && len(r.recent) > 0 && now-r.recent[0] >= limit.Within {
		r.recent = r.recent[1:]
	}
	if len(r.recent) >= limit.Max {
		return false
	}
	r.recent = append(r.recent, now)
	return true
}

// panicked decides what the panic of a handler, or of its factory, comes to.
func (c *Connection) panicked(ctx actor.Context, err error) {
	const reason = protocol.ReasonHandlerPanic
	if c.flags.tenure != broken && !c.mayRestart() { // broken: in its Restarting, and it goes anyway
		c.failed(ctx, reason, err)
		return
	}
	c.flags.tenure = max(c.flags.tenure, broken) // dismissed stays: the successor did not come into being
	c.shared.publish(&HandlerFailed{PID: c.pid, Reason: reason, Err: err, Restarted: true})
}

// mayRestart reports that a panic leaves the connection as it is, and counts it.
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

// final reports that message belongs to the end of a connection: then its last handler gets it, whatever it did.
func final(message any) bool {
	switch message.(type) {
	case *protocol.Closing, *protocol.Closed, *actor.Stopping, *actor.Stopped:
		return true
	}
	return false
}

// replace puts a new handler in the place of one that panicked. Where children of the old one have to end first, childEnded goes on.
func (c *Connection) replace(ctx actor.Context) {
	for c.flags.tenure != serving && c.dismiss(ctx) {
		if c.cause.Load() != nil {
			c.flags.tenure = serving // the end has come meanwhile: the old one gets Closed
		} else if c.makeHandler(ctx) {
			c.flags.tenure = serving
			c.greet(ctx)
		}
	}
}

// dismiss does what Proto.Actor does before it makes an actor anew: it tells the old one, and stops its children. False: some of them have
// not ended yet. Until they have, no mail is read and no input.
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
	if c.flags.tenure == serving {
		c.mailbox.PostSystemMessage(resumeMessage)
	}
}

// greet opens the conversation with a handler.
func (c *Connection) greet(ctx actor.Context) {
	accepted := &protocol.Accepted{Socket: c, Restarts: c.Restarts()}
	c.try(ctx, &actor.Started{})
	if c.flags.tenure == serving {
		c.phase.Or(met)
		c.try(ctx, accepted)
	}
	if c.flags.tenure == serving && accepted.Restarts > 0 {
		c.remind()
	}
}

// remind lets a new handler have what it cannot know: the unread bytes, and what the one before had been told and is still so.
func (c *Connection) remind() {
	c.flags.forced = true
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

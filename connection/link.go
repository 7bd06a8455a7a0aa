package connection

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// links tie the ends of other actors to the end of this connection. A separate process watches
// them, not the connection's actor: Proto.Actor knows one watch for each pair of actors, so an
// Unlink would remove the handler's own Watch, and a handler's Unwatch would remove the link. All
// methods must be called on the connection's turn.
type links struct {
	watcher *actor.PID // from the first link to the connection's end
	to      []linked
}

// linked is one actor that a connection is linked to.
type linked struct {
	pid        *actor.PID
	connection *Connection // nil if it is another actor
}

// linkDown is the mail by which the watcher tells the connection that a linked actor has ended.
type linkDown struct{ who *actor.PID }

// linkEnded is the mail by which a linked connection tells this one that it has ended.
type linkEnded struct{ who *actor.PID }

// linkWatcher is the process that watches linked actors. Any goroutine calls it, and it only posts.
type linkWatcher struct{ c *Connection }

var _ actor.Process = linkWatcher{}

// SendSystemMessage implements actor.Process.
func (w linkWatcher) SendSystemMessage(_ *actor.PID, message any) {
	if m, ok := message.(*actor.Terminated); ok {
		w.c.mailbox.PostUserMessage(&linkDown{m.Who})
	}
}

// SendUserMessage implements actor.Process. A user message is not expected, and is a dead letter.
func (w linkWatcher) SendUserMessage(pid *actor.PID, message any) {
	w.c.system().DeadLetter.SendUserMessage(pid, message)
}

// Stop implements actor.Process. The watcher ends only with the connection.
func (w linkWatcher) Stop(*actor.PID) {}

func (l *links) index(pid *actor.PID) int {
	return slices.IndexFunc(l.to, func(one linked) bool { return one.pid.Equal(pid) })
}

// remove returns false if pid was not linked.
func (l *links) remove(pid *actor.PID) (one linked, found bool) {
	i := l.index(pid)
	if i < 0 {
		return linked{}, false
	}
	one = l.to[i]
	l.to = slices.Delete(l.to, i, i+1)
	return one, true
}

// link ties the end of pid to the end of this connection. If it has ended already, its watch is
// answered at once.
func (c *Connection) link(ctx actor.Context, pid *actor.PID) {
	if pid == nil {
		c.finish(ctx, protocol.ReasonLinkDown, &protocol.LinkDownError{})
		return
	}
	l := &c.makeRare().links
	if pid.Equal(c.pid) || l.index(pid) >= 0 {
		return
	}
	if l.watcher == nil {
		// The connection's own id is unique, so this one is.
		l.watcher, _ = c.system().ProcessRegistry.Add(linkWatcher{c}, c.pid.Id+"/links")
	}
	l.to = append(l.to, linked{pid, connectionOf(c.system(), pid)})
	c.tell(pid, &actor.Watch{Watcher: l.watcher})
}

// unlink unties what link tied.
func (c *Connection) unlink(pid *actor.PID) {
	r := c.rare.Load()
	if r == nil || pid == nil {
		return
	}
	if _, found := r.links.remove(pid); found {
		c.tell(pid, &actor.Unwatch{Watcher: r.links.watcher})
	}
}

// linkDown ends the connection because a linked actor has ended. If that actor is a connection,
// this one ends the same way.
func (c *Connection) linkDown(ctx actor.Context, who *actor.PID) {
	one, found := c.rare.Load().links.remove(who)
	switch {
	case !found: // it was unlinked meanwhile
	case one.connection != nil && one.connection.wasReset():
		c.kill(protocol.ReasonLinkDown, &protocol.LinkDownError{PID: who})
	default:
		c.finish(ctx, protocol.ReasonLinkDown, &protocol.LinkDownError{PID: who})
	}
}

// wasReset reports whether the end of an ended connection was not orderly: not everything that was
// accepted was written, or one side reset the socket. Any goroutine may call it.
func (c *Connection) wasReset() bool { return c.phase.Load()&torn != 0 }

// isReset computes the answer of wasReset.
func (c *Connection) isReset() bool {
	switch c.cause.Load().reason {
	case protocol.ReasonPeerReset, protocol.ReasonTransportError, protocol.ReasonStopped:
		return true
	}
	return c.flags.aborted || c.unsent() > 0
}

// endLinked ends the actors that are still linked, because the connection has ended.
func (c *Connection) endLinked() {
	r := c.rare.Load()
	if r == nil || r.links.watcher == nil {
		return
	}
	for _, one := range r.links.to {
		c.tell(one.pid, &actor.Unwatch{Watcher: r.links.watcher})
		c.endOther(one)
	}
	r.links.to = nil
	c.system().ProcessRegistry.Remove(r.links.watcher)
}

// endOther ends one actor because this connection has ended. Another connection is flushed if this
// one's end was orderly.
func (c *Connection) endOther(one linked) {
	switch {
	case one.connection == nil:
		c.system().Root.Stop(one.pid)
	case c.wasReset():
		one.connection.kill(protocol.ReasonLinkDown, &protocol.LinkDownError{PID: c.pid})
	default: // by mail: writes that were sent to it by mail before are accepted first
		one.connection.mailbox.PostUserMessage(&linkEnded{c.pid})
	}
}

func (c *Connection) tell(pid *actor.PID, systemMessage any) {
	process, _ := c.system().ProcessRegistry.Get(pid) // an actor that is not there is one that has ended: dead letters answer for it
	process.SendSystemMessage(pid, systemMessage)
}

package connection

import (
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// links tie the ends of other actors to this connection's. What watches them is a process of its own, not the connection's actor:
// Proto.Actor knows one watch for each pair of actors, so an Unlink would take the handler's own Watch with it, and a handler's Unwatch the link.
// All methods belong to the connection's turn.
type links struct {
	watcher *actor.PID // from the first link to the connection's end
	to      []*actor.PID
}

// linkDown is the mail by which the watcher tells the connection that a linked actor has ended.
type linkDown struct{ who *actor.PID }

// linkWatcher is that process. Any goroutine calls it, and it only posts.
type linkWatcher struct{ c *Connection }

var _ actor.Process = linkWatcher{}

// SendSystemMessage implements actor.Process.
func (w linkWatcher) SendSystemMessage(_ *actor.PID, message any) {
	if m, ok := message.(*actor.Terminated); ok {
		w.c.mailbox.PostUserMessage(&linkDown{m.Who})
	}
}

// SendUserMessage implements actor.Process. Nobody has a reason to send one.
func (w linkWatcher) SendUserMessage(pid *actor.PID, message any) {
	w.c.system().DeadLetter.SendUserMessage(pid, message)
}

// Stop implements actor.Process. Only the connection's end is the watcher's.
func (w linkWatcher) Stop(*actor.PID) {}

func (l *links) index(pid *actor.PID) int {
	return slices.IndexFunc(l.to, func(one *actor.PID) bool { return one.Equal(pid) })
}

// remove reports whether pid was linked.
func (l *links) remove(pid *actor.PID) bool {
	i := l.index(pid)
	if i < 0 {
		return false
	}
	l.to = slices.Delete(l.to, i, i+1)
	return true
}

// link ties pid's end to ours. If it has ended already, its watch is answered at once.
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
	l.to = append(l.to, pid)
	c.tell(pid, &actor.Watch{Watcher: l.watcher})
}

// unlink unties what link tied.
func (c *Connection) unlink(pid *actor.PID) {
	if r := c.rare.Load(); r != nil && pid != nil && r.links.remove(pid) {
		c.tell(pid, &actor.Unwatch{Watcher: r.links.watcher})
	}
}

// linkDown ends the connection because a linked actor has ended.
func (c *Connection) linkDown(ctx actor.Context, who *actor.PID) {
	if c.rare.Load().links.remove(who) { // else it was unlinked meanwhile
		c.finish(ctx, protocol.ReasonLinkDown, &protocol.LinkDownError{PID: who})
	}
}

// stopLinked stops what is still linked: the connection has ended.
func (c *Connection) stopLinked() {
	r := c.rare.Load()
	if r == nil || r.links.watcher == nil {
		return
	}
	for _, pid := range r.links.to {
		c.tell(pid, &actor.Unwatch{Watcher: r.links.watcher})
		c.system().Root.Stop(pid)
	}
	r.links.to = nil
	c.system().ProcessRegistry.Remove(r.links.watcher)
}

func (c *Connection) tell(pid *actor.PID, systemMessage any) {
	process, _ := c.system().ProcessRegistry.Get(pid) // an actor that is not there is one that has ended: dead letters answer for it
	process.SendSystemMessage(pid, systemMessage)
}

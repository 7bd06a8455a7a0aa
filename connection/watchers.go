package connection

import "github.com/asynkron/protoactor-go/actor"

// This file tells the connection's watchers of its end, in order behind everything else that they
// were sent. A system message overtakes the mail in its receiver's mailbox, so an actor that has
// sent Close with an Ack and watches the connection would see Terminated before Done. Local actors
// therefore get Terminated as mail: Proto.Actor hands both forms to the actor's Receive alike. All
// other watchers get the system message as ever: actors on other nodes, futures, processes that are
// no actors; and the parent, which Proto.Actor tells by itself.

// TakeWatch implements tcpactor.WatchTaker. After the end Proto.Actor answers a Watch at once.
func (c *Connection) TakeWatch(message any) (taken bool) {
	if c.flags.left {
		return false
	}
	switch m := message.(type) {
	case *actor.Watch:
		if m.Watcher == nil {
			break
		}
		watchers := &c.makeRare().watchers
		if *watchers == nil {
			*watchers = actor.NewPIDSet()
		}
		(*watchers).Add(m.Watcher)
	case *actor.Unwatch:
		if r := c.rare.Load(); r != nil && r.watchers != nil && m.Watcher != nil {
			r.watchers.Remove(m.Watcher)
		}
	}
	return true
}

// tellWatchers tells all of them that this actor has ended. Every reply of the connection and of
// its writer has been sent.
func (c *Connection) tellWatchers() {
	r := c.rare.Load()
	if r == nil || r.watchers == nil {
		return
	}
	end := &actor.Terminated{Who: c.pid}
	for _, pid := range r.watchers.Values() {
		process, _ := c.system().ProcessRegistry.Get(pid)
		if isActor(process) {
			process.SendUserMessage(pid, end)
		} else {
			process.SendSystemMessage(pid, end)
		}
	}
	r.watchers = nil
}

package connection

import "github.com/asynkron/protoactor-go/actor"

// process stands for a connection's PID in the registry, in the place of Proto.Actor's own process,
// and with its behaviour. A link recognises a connection among other actors by it.
type process Connection

var _ actor.Process = (*process)(nil)

// register puts the process in its place. It is called by the spawn, before others know the PID.
func (c *Connection) register() {
	c.system().ProcessRegistry.LocalPIDs.GetBucket(c.pid.Id).Set(c.pid.Id, (*process)(c))
}

// connectionOf returns the connection that pid stands for, nil if pid is another actor, or none.
func connectionOf(system *actor.ActorSystem, pid *actor.PID) *Connection {
	found, _ := system.ProcessRegistry.Get(pid)
	p, _ := found.(*process)
	return (*Connection)(p)
}

// isActor reports whether a process is that of a local actor.
func isActor(p actor.Process) bool {
	switch p.(type) {
	case *actor.ActorProcess, *process:
		return true
	}
	return false
}

// forgotten reports whether the PID is no longer in the registry. PIDs that were used before
// remember the process.
func (p *process) forgotten() bool { return (*Connection)(p).phase.Load()&forgotten != 0 }

// SendUserMessage implements actor.Process.
func (p *process) SendUserMessage(pid *actor.PID, message any) {
	c := (*Connection)(p)
	if p.forgotten() {
		c.system().DeadLetter.SendUserMessage(pid, message)
		return
	}
	c.mailbox.PostUserMessage(message)
}

// SendSystemMessage implements actor.Process.
func (p *process) SendSystemMessage(pid *actor.PID, message any) {
	c := (*Connection)(p)
	if p.forgotten() {
		c.system().DeadLetter.SendSystemMessage(pid, message)
		return
	}
	c.mailbox.PostSystemMessage(message)
}

// Stop implements actor.Process.
func (p *process) Stop(pid *actor.PID) { p.SendSystemMessage(pid, stopMessage) }

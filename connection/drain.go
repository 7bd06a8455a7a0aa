package connection

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// Drain tells the handler that the server shuts down. A handler with a Draining method itself
// decides when to Close. Connections of other handlers are closed when nothing has moved for
// DrainQuiet. Any goroutine may call it.
func (c *Connection) Drain() { c.signal(signalDrain) }

// Shutdown closes in an orderly way: the time for draining is over. Any goroutine may call it.
func (c *Connection) Shutdown() { c.signal(signalShutdown) }

// Kill resets the connection because the server does not wait any longer. Any goroutine may call
// it.
func (c *Connection) Kill() { c.kill(protocol.ReasonShutdown, protocol.ErrShutdown) }

// Working reports whether a handler call is under way, or accepted writes are not with the kernel
// yet. Any goroutine may call it.
func (c *Connection) Working() bool {
	return c.state() != opening && (!c.credit.idle() || c.Open() && c.mailbox.Inside())
}

// Open reports whether the connection is open and does not end yet. Any goroutine may call it.
func (c *Connection) Open() bool { return c.state() == open }

// Moved returns how many bytes were read and written. Any goroutine may call it.
func (c *Connection) Moved() uint64 {
	read, written := c.conn().Progress()
	return c.read.Load() + c.written.Load() + read + written
}

// drain tells the handler, once of its age and once of a shutdown, and closes what is quiet.
func (c *Connection) drain(ctx actor.Context, bits uint32) {
	is := func(bit uint32) bool { return bits&bit != 0 }
	reason := protocol.ReasonMaxAge
	if is(signalAged) {
		c.tellDraining(ctx, &c.flags.aged, c.ageDeadline())
	}
	if is(signalDrain) || c.shared.draining() {
		c.tellDraining(ctx, &c.flags.draining, c.shared.deadline())
		reason = protocol.ReasonShutdown
	}
	if is(signalQuiet) && !c.drainsItself() {
		c.finish(ctx, reason, nil)
	}
}

func (c *Connection) tellDraining(ctx actor.Context, told *bool, deadline time.Time) {
	if !*told && c.state() == open && c.cause.Load() == nil {
		*told = true
		c.deliver(ctx, &protocol.Draining{Socket: c, Deadline: deadline})
	}
}

func (c *Connection) drainsItself() bool {
	d, ok := c.receiver.(tcpactor.Drainer)
	return ok && d.Drains()
}

// SetDeadline begins draining for all connections of this spawner: until then handlers may finish.
func (s *Spawner) SetDeadline(deadline time.Time) { s.drainUntil.Store(&deadline) }

func (s *Spawner) deadline() time.Time {
	if d := s.drainUntil.Load(); d != nil {
		return *d
	}
	return time.Time{}
}

func (s *Spawner) draining() bool { return s.drainUntil.Load() != nil }

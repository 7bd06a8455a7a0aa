package connection

import (
	"time"

	"github.com/go-berth/berth/protocol"
)

// SetTimeouts implements protocol.Socket.
func (c *Connection) SetTimeouts(t protocol.Timeouts) {
	c.makeRare().timeouts.Store(&t)
	c.shared.noteOwn(&t)
	if c.shared.sooner != nil {
		c.shared.sooner()
	}
}

// timeouts returns the limits in force that a connection may have of its own; 0 or less is off. Any
// goroutine may call it.
func (c *Connection) timeouts() protocol.Timeouts {
	t := c.shared.options.timeouts()
	if own := c.ownTimeouts(); own != nil {
		override(&t.Idle, own.Idle)
		override(&t.Read, own.Read)
		override(&t.MaxAge, own.MaxAge)
	}
	return t
}

func (o *Options) timeouts() protocol.Timeouts {
	return protocol.Timeouts{Idle: o.IdleTimeout, Read: o.ReadTimeout, MaxAge: o.MaxAge}
}

func override(limit *time.Duration, own time.Duration) {
	if own != 0 {
		*limit = own
	}
}

// ownTimeouts returns nil if SetTimeouts was not called.
func (c *Connection) ownTimeouts() *protocol.Timeouts {
	if r := c.rare.Load(); r != nil {
		return r.timeouts.Load()
	}
	return nil
}

// limitsInForce returns the limits in force. One that has changed since the last look counts from
// now. For the sweep.
func (c *Connection) limitsInForce(s state, now time.Duration) protocol.Timeouts {
	own := c.ownTimeouts()
	if own == nil || s != open { // the handler cannot change the limits of the handshake and the close
		return c.shared.options.timeouts()
	}
	c.shared.noteOwn(own)
	t, seen := c.timeouts(), &c.rare.Load().timeoutsSeen
	if *seen == (protocol.Timeouts{}) {
		*seen = c.shared.options.timeouts()
	}
	if t.Idle != seen.Idle {
		c.timing.idleFrom(now)
	}
	if t.Read != seen.Read {
		c.timing.waitFrom(now)
	}
	*seen = t
	return t
}

// noteOwn makes the sweep come often enough for a connection with these limits of its own. Every
// sweep begins with none of them and notes those of the connections that it finds, so that the
// limits of connections that have ended are forgotten.
func (s *Spawner) noteOwn(t *protocol.Timeouts) {
	o, shortest := &s.current.Load().options, noLimit
	lower(&shortest, t.Idle, t.Read)
	if t.MaxAge > 0 {
		lower(&shortest, t.MaxAge, o.MaxAgeGrace, o.DrainQuiet)
	}
	for {
		before := s.own.Load()
		if before > 0 && int64(shortest) >= before || s.own.CompareAndSwap(before, int64(shortest)) {
			return
		}
	}
}

// noLimit is longer than any.
const noLimit time.Duration = 1<<63 - 1

// lower makes shortest the shortest of itself and those of the limits that are not off.
func lower(shortest *time.Duration, limits ...time.Duration) {
	for _, limit := range limits {
		if limit > 0 {
			*shortest = min(*shortest, limit)
		}
	}
}

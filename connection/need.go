package connection

import (
	"github.com/go-berth/berth/connection/transport"
)

// This file has what Buffer.Need does to the reading.

// forcing says why the handler is to be called with the bytes that are there.
type forcing uint8

const (
	unforced forcing = iota
	resumed          // a Resume asked for it
	due              // they have not been shown to this handler yet, or it wants them in a call of its own; the end of the input waits for that
)

// need notes that the handler needs n unread bytes. Its call has consumed so many, of which skipped
// ones belong to no frame.
func (c *Connection) need(n, consumed, skipped int) {
	switch {
	case n <= c.input.Len():
		if consumed > 0 {
			c.flags.forced = due
		}
	case !c.flags.inputEnded:
		c.input.Need(n)
		if demand := c.demand.Load(); demand >= 0 && consumed == skipped {
			c.demand.Store(demand + 1) // the call has not counted
		}
	}
}

// forgetNeed has a new handler wait for no number of bytes. The one before it may have panicked in
// the call in which it asked for some.
func (c *Connection) forgetNeed() {
	c.input.Need(0)
	if c.shown != nil {
		_ = c.shown.buffer.Need(0)
	}
}

// room returns how many more bytes may be unread. A read buffer that needs more than its size grows
// in steps of its size, so that what follows a long frame comes with it.
func (c *Connection) room() int {
	size := c.shared.options.ReadBufferSize
	if n := c.input.Needed(); n > size {
		size = max(n, min(n+(size-n%size)%size, c.shared.mostNeeded))
	}
	return size - c.input.Len()
}

// waits reports whether bytes are there that the handler has yet to be shown.
func (c *Connection) waits() bool { return c.flags.unseen || c.flags.forced == due }

// mostNeeded returns the most bytes that a handler may need at once: their memory must fit into the
// budget, if there is one, beside nothing else.
func (s *Spawner) mostNeeded(o *Options) int {
	most := o.MaxReadBufferSize
	if s.budget != nil {
		for high := s.budget.limits.HighWater; most > o.ReadBufferSize && int64(transport.ChunkSize(most)) > high; {
			most /= 2
		}
	}
	return max(most, o.ReadBufferSize)
}

package connection

import "sync/atomic"

// rare is what few connections have. It is made when first needed.
type rare struct {
	// Any goroutine. By SlowDropNewest: bytes and writes.
	dropped, droppedWrites atomic.Uint64
	// The connection's turn.
	links links
}

// makeRare returns it, and makes it if there is none. Any goroutine may call it.
func (c *Connection) makeRare() *rare {
	if c.rare.Load() == nil {
		c.rare.CompareAndSwap(nil, new(rare))
	}
	return c.rare.Load()
}

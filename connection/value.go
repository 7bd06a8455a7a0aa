package connection

// SetValue implements protocol.Socket.
func (c *Connection) SetValue(v any) {
	switch r := c.rare.Load(); {
	case v != nil:
		c.makeRare().value.Store(&v)
	case r != nil:
		r.value.Store(nil)
	}
}

// Value implements protocol.Socket.
func (c *Connection) Value() any {
	if r := c.rare.Load(); r != nil {
		if v := r.value.Load(); v != nil {
			return *v
		}
	}
	return nil
}

// Restarts implements protocol.Socket.
func (c *Connection) Restarts() int {
	if r := c.rare.Load(); r != nil {
		return int(r.replaced.Load())
	}
	return 0
}

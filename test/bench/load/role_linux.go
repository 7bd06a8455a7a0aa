package load

// role is what a connection does. A role holds no state of a connection, so one value serves all
// connections of its kind; all its calls come from the connection's loop.
type role interface {
	// depth is the most messages under way on a connection with their times kept.
	depth() int
	// start is called once when the load begins, and for a connection that opens later when it
	// opens.
	start(l *loop, c *conn, now int64) error
	// echoed is called when n more messages came back whole and right.
	echoed(l *loop, c *conn, n int, now int64) error
	// closed is called when the server has closed.
	closed(l *loop, c *conn) error
	// failed decides what an error on the connection means; nil if the role has handled it.
	failed(l *loop, c *conn, err error) error
}

// ticker is a role that acts by the clock as well: tick is called about every millisecond.
type ticker interface {
	tick(l *loop, c *conn, now int64) error
}

// strict is the part most roles share: the server never closes first, and no error is forgiven.
type strict struct{}

func (strict) closed(_ *loop, c *conn) error            { return c.closedEarly() }
func (strict) failed(_ *loop, _ *conn, err error) error { return err }

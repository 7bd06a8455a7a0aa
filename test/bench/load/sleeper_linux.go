package load

// sleeper sends a message that makes the server's handler sleep, waits for its echo, rests for
// pause and sends the next, as long as the disturbance is on.
type sleeper struct {
	strict
	pause int64
}

func (sleeper) depth() int { return 1 }

func (sleeper) start(*loop, *conn, int64) error { return nil }

func (s sleeper) tick(l *loop, c *conn, now int64) error {
	if !l.disturbed || c.starts.count > 0 || now < c.since || l.stage != running {
		return nil
	}
	return c.issue(l, 1, now)
}

func (s sleeper) echoed(_ *loop, c *conn, _ int, now int64) error {
	c.starts.pop()
	c.since = now + s.pause
	return nil
}

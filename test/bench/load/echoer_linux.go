package load

// echoer keeps depth messages under way: a closed loop. Messages that came back are sent again at
// once, in one write.
type echoer struct {
	strict
	deep int
}

func (e echoer) depth() int { return e.deep }

func (e echoer) start(l *loop, c *conn, now int64) error { return c.issue(l, e.deep, now) }

func (e echoer) echoed(l *loop, c *conn, n int, now int64) error {
	for range n {
		l.record(l.window, now-c.starts.pop())
	}
	if l.stage != running {
		return nil
	}
	return c.issue(l, n, now)
}

// idler sends one message when it opens and nothing after.
type idler struct{ strict }

func (idler) depth() int { return 1 }

func (idler) start(l *loop, c *conn, now int64) error { return c.issue(l, 1, now) }

func (idler) echoed(*loop, *conn, int, int64) error { return nil }

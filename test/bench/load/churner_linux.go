package load

import "golang.org/x/sys/unix"

// churner opens a connection, sends one message, waits for it, sends FIN, waits for the server's,
// closes, and opens the next. Waiting for the server's FIN keeps the work of closing inside the
// cycle that caused it. The latency is from the call of connect to the whole message.
type churner struct{ strict }

func (churner) depth() int { return 1 }

func (churner) start(l *loop, c *conn, now int64) error {
	if c.since == 0 {
		c.since = now
	}
	return c.issue(l, 1, c.since)
}

func (churner) echoed(l *loop, c *conn, _ int, now int64) error {
	l.record(l.window, now-c.starts.pop())
	return unix.Shutdown(c.fd, unix.SHUT_WR)
}

func (churner) closed(l *loop, c *conn) error {
	if c.received < c.size {
		return c.closedEarly()
	}
	l.cycles++
	l.hangUp(c)
	if l.stage != running {
		return nil
	}
	return l.redial(c)
}

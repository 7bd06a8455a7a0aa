package load

// pacer sends one message per interval, whatever the server does: an open loop of one. A message
// that is due while the one before it is still out goes as soon as that one is back, and its
// latency counts from when it was due. (A closed loop would send nothing while it waits, and a
// stall of a second would be one bad sample among a hundred thousand good ones.)
type pacer struct {
	strict
	interval int64
}

func (pacer) depth() int { return 1 }

// start spreads the connections evenly over an interval.
func (p pacer) start(_ *loop, c *conn, now int64) error {
	const spread = 50
	c.since = now + p.interval*int64(c.number%spread)/spread
	return nil
}

func (p pacer) tick(l *loop, c *conn, now int64) error {
	if c.since == 0 || now < c.since || c.starts.count > 0 || l.stage != running {
		return nil
	}
	// The generator itself is late by up to a tick, which the server does not cause.
	return p.send(l, c, now)
}

func (p pacer) echoed(l *loop, c *conn, _ int, now int64) error {
	l.record(c.window, now-c.starts.pop())
	if now < c.since || l.stage != running {
		return nil
	}
	return p.send(l, c, c.since)
}

// send notes the window as well: a reply that misses the window it was due in is counted there.
func (p pacer) send(l *loop, c *conn, due int64) error {
	c.since += p.interval
	c.window = l.window
	return c.issue(l, 1, due)
}

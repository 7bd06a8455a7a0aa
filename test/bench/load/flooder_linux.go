package load

import (
	"errors"

	"golang.org/x/sys/unix"
)

// flooder sends as long as the kernel and the server take it, up to maxFlood, and reads nothing
// while the disturbance is on; afterwards it reads everything and checks it. A server may close
// such a connection: that is counted, not an error.
type flooder struct{}

func (flooder) depth() int { return 0 }

func (flooder) start(_ *loop, c *conn, _ int64) error {
	c.muted = true
	return nil
}

// tick sends one chunk when the kernel has room, and no more: between two chunks the loop serves
// the paced connections.
func (f flooder) tick(l *loop, c *conn, _ int64) error {
	switch {
	case !c.open:
		return nil
	case l.disturbed:
		if c.full || c.sent >= maxFlood {
			return nil
		}
		before := c.sent
		err := c.issue(l, int(MaxChunk/c.size), 0)
		l.flooded += c.sent - before
		return err
	case c.muted && l.stage == stopping:
		c.muted = false
		// It reads to the end: the event that announced the input, and perhaps a FIN after it, is
		// long past.
		return c.receive(l, true)
	}
	return nil
}

func (flooder) echoed(*loop, *conn, int, int64) error { return nil }

func (f flooder) closed(l *loop, c *conn) error {
	l.cut++
	l.pending -= c.pending()
	l.hangUp(c)
	return nil
}

func (f flooder) failed(l *loop, c *conn, err error) error {
	if errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE) {
		return f.closed(l, c)
	}
	return err
}

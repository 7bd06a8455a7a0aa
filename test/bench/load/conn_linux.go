package load

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// conn is one connection. Its loop's goroutine alone touches it.
type conn struct {
	fd     int
	number int // of the connection in the run, in order; chooses stream and local address
	index  int // its place in the loop's list, and in its epoll events
	role   role
	stream Stream
	size   uint64 // bytes per message

	// received <= sent <= queued: positions in the stream.
	queued   uint64 // messages asked for so far end here
	sent     uint64 // the kernel has taken this much
	received uint64 // this much came back, and was right

	starts ring // when each message under way was due to be sent

	open  bool // connected
	full  bool // the kernel takes no more for now: epoll says when it does
	muted bool // nothing is read: a peer that stalls

	since  int64 // the role's own time: dialled at, next message due at
	window int   // pacer: the window in which the message under way was due
}

// pending is how many messages are under way.
func (c *conn) pending() int { return int((c.queued - c.received + c.size - 1) / c.size) }

// issue sends n more messages that were due at start.
func (c *conn) issue(l *loop, n int, start int64) error {
	for range n {
		c.starts.push(start)
	}
	c.queued += uint64(n) * c.size
	l.pending += n
	return c.flush()
}

// flush writes what is queued until all is written or the kernel takes no more. A short write
// says that as well as EAGAIN would.
func (c *conn) flush() error {
	c.full = false
	for c.sent < c.queued {
		chunk := c.stream.At(c.sent, int(min(c.queued-c.sent, MaxChunk)))
		n, errno := rawWrite(c.fd, chunk)
		switch {
		case errno == unix.EAGAIN:
			c.full = true
			return nil
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return c.failed("write", errno)
		}
		c.sent += uint64(n)
		if n < len(chunk) {
			c.full = true
			return nil
		}
	}
	return nil
}

// receive reads what is there and hands whole messages to the role. A short read means drained,
// unless the peer has closed too: then the next read says so.
func (c *conn) receive(l *loop, closing bool) error {
	for {
		n, errno := rawRead(c.fd, l.buffer)
		switch {
		case errno == unix.EAGAIN:
			return nil
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return c.failed("read", errno)
		case n == 0:
			return c.role.closed(l, c)
		}
		before := c.received / c.size
		if err := c.accept(l.buffer[:n]); err != nil {
			return err
		}
		if messages := int(c.received/c.size - before); messages > 0 {
			l.pending -= messages
			if err := c.role.echoed(l, c, messages, l.clock()); err != nil {
				return err
			}
		}
		if n < len(l.buffer) && !closing {
			return nil
		}
	}
}

// accept compares bytes with those sent; more than was sent is as wrong as other ones.
func (c *conn) accept(got []byte) error {
	if c.received+uint64(len(got)) > c.sent {
		return fmt.Errorf("connection %d: %d bytes came back of %d sent", c.number, c.received+uint64(len(got)), c.sent)
	}
	if err := c.stream.Check(c.received, got); err != nil {
		return fmt.Errorf("connection %d: %w", c.number, err)
	}
	c.received += uint64(len(got))
	return nil
}

func (c *conn) failed(call string, errno syscall.Errno) error {
	return fmt.Errorf("connection %d: %s after %d of %d bytes came back: %w", c.number, call, c.received, c.sent, errno)
}

// closedEarly is the answer of every role that does not expect the server to close.
func (c *conn) closedEarly() error {
	return fmt.Errorf("connection %d: the server closed it after %d of %d bytes came back", c.number, c.received, c.sent)
}

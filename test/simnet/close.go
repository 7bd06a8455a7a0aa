package simnet

import (
	"net"
	"os"
	"syscall"
	"time"
)

// Close ends both directions and returns at once. Written bytes still go out, followed by the end
// of the stream, unless there is unread input, or more comes: then the peer is reset and what was
// still queued here is lost. After SetLinger(0) the reset is certain. Blocked calls return
// net.ErrClosed, and so does a second Close.
func (c *Conn) Close() error { return c.close(false) }

// Reset aborts the connection, as SetLinger(0) and then Close do: queued bytes are discarded and
// the peer is reset.
func (c *Conn) Reset() error { return c.close(true) }

func (c *Conn) close(reset bool) error {
	l := c.link
	l.Lock()
	if c.closed {
		l.Unlock()
		return c.failed("close", net.ErrClosed)
	}
	now := time.Now()
	l.advance(now)
	c.closed = true
	c.end.shut(reset || c.lingerZero, now)
	l.settle()
	l.users--
	last := l.users == 0
	l.Unlock()
	if last && l.released != nil {
		l.released(l)
	}
	return nil
}

// SetLinger with 0 makes Close a Reset. Any other value, however long, leaves Close as it is.
func (c *Conn) SetLinger(sec int) error {
	return c.set(func() { c.lingerZero = sec == 0 })
}

// CloseWrite tells the peer, after all that was written, that no more will come. Reading goes on;
// Write returns syscall.EPIPE.
func (c *Conn) CloseWrite() error {
	return c.shutdown(func(now time.Time) {
		c.end.writeShut = true
		c.end.transmit(now)
	})
}

// CloseRead makes Read return io.EOF where it would block. The peer learns nothing, and its writes
// can be read, until CloseWrite has ended this side as well: then input resets the connection.
func (c *Conn) CloseRead() error {
	return c.shutdown(func(time.Time) { c.end.readShut = true })
}

// shutdown is the common part of CloseRead and CloseWrite. ENOTCONN is the kernel's error for a
// connection that is over.
func (c *Conn) shutdown(half func(now time.Time)) error {
	l := c.link
	l.Lock()
	defer l.Unlock()
	now := time.Now()
	l.advance(now)
	switch {
	case c.closed:
		return c.failed("close", net.ErrClosed)
	case c.end.over():
		return c.failed("close", os.NewSyscallError("shutdown", syscall.ENOTCONN))
	}
	half(now)
	l.settle()
	return nil
}

// SetDeadline sets the deadlines of Read and of Write. It applies also to calls that are blocked
// now; zero is none.
func (c *Conn) SetDeadline(t time.Time) error {
	return c.set(func() { c.readDeadline, c.writeDeadline = t, t })
}

// SetReadDeadline sets the deadline of Read: from then on it returns os.ErrDeadlineExceeded, also
// if there is input.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.set(func() { c.readDeadline = t })
}

// SetWriteDeadline sets the deadline of Write. A Write that was blocked returns with it how much it
// had written: those bytes go out.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.set(func() { c.writeDeadline = t })
}

// ResumesWrites returns true: after a write deadline the next Write goes on behind the bytes that
// the previous one took.
func (c *Conn) ResumesWrites() bool { return true }

// Broken reports whether the peer has reset the connection.
func (c *Conn) Broken() bool {
	c.link.Lock()
	defer c.link.Unlock()
	return c.end.dead
}

// set changes state that concerns this end's user alone. Blocked calls look at the deadline again.
func (c *Conn) set(change func()) error {
	l := c.link
	l.Lock()
	defer l.Unlock()
	if c.closed {
		return &net.OpError{Op: "set", Net: network, Addr: c.local, Err: net.ErrClosed}
	}
	change()
	l.broadcast()
	return nil
}

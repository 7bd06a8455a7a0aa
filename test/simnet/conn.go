package simnet

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// Conn is one end of a connection. Besides the methods of net.Conn it has those of *net.TCPConn
// that end a connection, with the same effects on the peer, and Partition and Heal.
//
// Any number of goroutines may call all methods at once. Reads of several goroutines share the
// input between them; a Write is never interleaved with another. Only Read and Write can block, and
// they do so durably in the sense of testing/synctest. Close, and a deadline set in the past, free
// the calls that are blocked.
//
// Errors are *net.OpError as from a TCP connection, except io.EOF, which is bare.
type Conn struct {
	link          *link
	local, remote Addr

	// All below is guarded by the link's gate.
	end                         *end
	closed                      bool // by its user: the end cannot tell this from both halves shut
	lingerZero                  bool
	writing                     bool // a Write is under way; others wait for their turn
	readDeadline, writeDeadline time.Time
}

var _ net.Conn = (*Conn)(nil)

// Pipe returns the two ends of a connection without a listener and a dial. Unlike net.Pipe it has
// buffers.
func Pipe(opts Options) (*Conn, *Conn) {
	opts = opts.withDefaults()
	return pair(newLink(opts), addr(opts.Name, 1), addr(opts.Name, 2))
}

func pair(l *link, a, b Addr) (*Conn, *Conn) {
	return &Conn{link: l, end: l.ends[0], local: a, remote: b},
		&Conn{link: l, end: l.ends[1], local: b, remote: a}
}

// Read waits until there is input, and takes what has arrived. After the peer's CloseWrite or
// Close, once all was read, it returns io.EOF; after a reset, once all that had arrived was read,
// syscall.ECONNRESET, unless a Write was told of it before. A Read of no bytes returns at once, and
// fails only on a closed connection.
func (c *Conn) Read(p []byte) (int, error) {
	l := c.link
	l.Lock()
	defer l.Unlock()
	for {
		now := time.Now()
		l.advance(now)
		switch {
		case c.closed:
			return 0, c.failed("read", net.ErrClosed)
		case len(p) == 0:
			return 0, nil // before the deadline, as package net does
		case passed(c.readDeadline, now):
			return 0, c.failed("read", os.ErrDeadlineExceeded)
		}
		if n := c.end.read(p, now); n > 0 {
			l.settle()
			return n, nil
		}
		switch err := c.end.readErr(); {
		case err == nil:
		case errors.Is(err, io.EOF):
			return 0, io.EOF
		default:
			return 0, c.failed("read", os.NewSyscallError("read", err))
		}
		l.await(c.readDeadline)
	}
}

// Write returns when all of p is in the buffers between the ends, or with an error and how many
// bytes of p got there. The peer need not see bytes that got there. On a connection that was reset
// the error is syscall.ECONNRESET if no call has returned it yet, and otherwise, as after
// CloseWrite, syscall.EPIPE.
func (c *Conn) Write(p []byte) (int, error) {
	l := c.link
	l.Lock()
	defer l.Unlock()
	if err := c.takeTurn(); err != nil {
		return 0, err
	}
	defer c.endTurn()
	for n := 0; ; {
		now := time.Now()
		l.advance(now)
		if err := c.mayWrite(now); err != nil {
			return n, err
		}
		if err := c.end.writeErr(); err != nil {
			return n, c.failed("write", os.NewSyscallError("write", err))
		}
		k := c.end.accept(p[n:], now)
		n += k
		if k > 0 {
			l.settle() // which may bring the reset that these bytes provoke: look again before waiting
		}
		if n == len(p) {
			return n, nil
		}
		if k == 0 {
			l.await(c.writeDeadline)
		}
	}
}

// takeTurn waits until no other Write is under way. The turn is a flag and not a mutex, as waiting
// for it may take long. A Write that waits for its turn only checks this end's own state: a reset
// is told once, and the Write that is under way has to get it.
func (c *Conn) takeTurn() error {
	for c.writing {
		now := time.Now()
		c.link.advance(now)
		if err := c.mayWrite(now); err != nil {
			return err
		}
		c.link.await(c.writeDeadline)
	}
	c.writing = true
	return nil
}

func (c *Conn) endTurn() {
	c.writing = false
	c.link.broadcast()
}

// mayWrite returns an error if this end's user has forbidden a Write.
func (c *Conn) mayWrite(now time.Time) error {
	switch {
	case c.closed:
		return c.failed("write", net.ErrClosed)
	case passed(c.writeDeadline, now):
		return c.failed("write", os.ErrDeadlineExceeded)
	default:
		return nil
	}
}

// PeerRoom returns how many bytes more the other end could write without waiting. open is false
// where that end is closed, or the connection has ended.
func (c *Conn) PeerRoom() (n int, open bool) {
	l := c.link
	l.Lock()
	defer l.Unlock()
	l.advance(time.Now())
	writer := c.end.peer
	if writer.dead || writer.writeShut || writer.over() {
		return 0, false
	}
	return l.opts.BufferSize - writer.sendq.Len() - writer.unread(), true
}

// LocalAddr returns this end's address.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the other end's address.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Partition cuts the connection, in both directions: from now on nothing arrives at either end, and
// Write goes on until the buffer is full. Neither end is told.
func (c *Conn) Partition() { c.link.partition() }

// Heal ends a partition. The bytes that were written meanwhile, or were under way when it began,
// arrive after one Latency, so that nothing is lost, unless an end was reset: then its peer
// receives only that.
func (c *Conn) Heal() { c.link.heal() }

func (c *Conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: network, Source: c.local, Addr: c.remote, Err: err}
}

// Package memory measures the memory of a connection. The connections below it have no descriptor
// and allocate nothing after they were made, so they add nothing to the figures.
package memory

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Conn is the server's end of a connection. The measuring goroutine is the client: it sends one
// message, of up to 64 bytes, and waits for the answer. Every wait is on a channel that exists from
// the beginning.
type Conn struct {
	in, out   message
	closed    chan struct{}
	closeOnce sync.Once
}

// message is one direction: room for one message at a time.
type message struct {
	bytes [64]byte
	full  chan int
}

var _ net.Conn = (*Conn)(nil)

// NewConn returns a connection on which nothing has been sent.
func NewConn() *Conn {
	return &Conn{in: message{full: make(chan int, 1)}, out: message{full: make(chan int, 1)}, closed: make(chan struct{})}
}

// Exchange sends p to the server and waits for an answer, of which it returns the length.
func (c *Conn) Exchange(p []byte) int {
	c.in.full <- copy(c.in.bytes[:], p)
	return <-c.out.full
}

// Answer returns the bytes of the last answer, n of them.
func (c *Conn) Answer(n int) []byte { return c.out.bytes[:n] }

// Read implements net.Conn. p must have room for the message.
func (c *Conn) Read(p []byte) (int, error) {
	select {
	case n := <-c.in.full:
		return copy(p, c.in.bytes[:n]), nil
	case <-c.closed:
		return 0, io.EOF
	}
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) > len(c.out.bytes) {
		return 0, errors.New("memory: message too long")
	}
	n := copy(c.out.bytes[:], p)
	select {
	case c.out.full <- n:
		return n, nil
	case <-c.closed:
		return 0, os.ErrClosed
	}
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.closeOnce.Do(func() { close(c.closed) })
	return nil
}

type addr struct{}

func (addr) Network() string { return "memory" }
func (addr) String() string  { return "memory" }

// LocalAddr implements net.Conn.
func (*Conn) LocalAddr() net.Addr { return addr{} }

// RemoteAddr implements net.Conn.
func (*Conn) RemoteAddr() net.Addr { return addr{} }

// SetDeadline implements net.Conn; nothing here takes time.
func (*Conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (*Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (*Conn) SetWriteDeadline(time.Time) error { return nil }

// Listener accepts the connections that are put into it.
type Listener struct {
	Conns  chan *Conn
	closed chan struct{}
	once   sync.Once
}

// Listen returns a listener that accepts nothing yet.
func Listen() *Listener { return &Listener{Conns: make(chan *Conn), closed: make(chan struct{})} }

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.Conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (*Listener) Addr() net.Addr { return addr{} }

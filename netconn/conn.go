package netconn

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/go-berth/berth/protocol"
)

// Conn is a connection of Berth's as a blocking net.Conn. Any goroutine may call its methods, and
// several at the same time. A Read takes turns with other Reads, a Write with other Writes. Errors
// are *net.OpError with the addresses of both ends; io.EOF comes as it is.
//
// A Conn is not an actor and starts no goroutine. Its state is in the connection, of whose handler
// it is a part; a deadline is a timer.
type Conn struct {
	socket protocol.Socket
	engine engine // nil where the socket is none
	inline bool   // a Read may run the connection's turn

	reading sync.Mutex // held by the Read under way

	mu      sync.Mutex
	news    sync.Cond // for the Read under way; mu is its lock
	want    []byte    // of the Read that waits; nil: none does
	got     int       // bytes that came into want
	waits   bool      // the Read has gone to sleep
	held    bool      // the connection is paused, and has bytes that no Read took
	last    bool      // the peer is gone: what it sent before is taken as it comes
	kept    []byte    // the last bytes of the input, which the connection does not hold any more
	end     error     // what a Read returns after the last byte; nil: the input goes on
	closed  bool      // by Close, or because another handler has the connection
	given   bool      // another handler has the connection
	noRead  bool      // by CloseRead
	noWrite bool      // by CloseWrite
	readBy  deadline
	writeBy deadline
}

var _ net.Conn = (*Conn)(nil)

// engine is what a Socket of a real connection has besides.
type engine interface {
	WriteAtOnce(ctx context.Context, p []byte) (int, error)
	ResumeAtOnce()
	CallApart(callback func())
}

// mostKept bounds what is taken from a connection whose peer is gone, in bytes: about as much as a
// kernel holds of one connection by default. What lies beyond waits in the kernel.
const mostKept = 256 << 10

func newConn(socket protocol.Socket, inline bool) *Conn {
	c := &Conn{socket: socket, inline: inline}
	c.engine, _ = socket.(engine)
	c.news.L = &c.mu
	return c
}

// Socket returns the connection's handle: for its PID, a Link, WriteFile, Abort, Info and so on.
// What is written to it goes out between the Writes of c. Pause, Resume and messages of the
// program's own are not for it: c is the connection's handler.
// After its Become another handler has the connection: then c is closed, and the connection is not.
func (c *Conn) Socket() protocol.Socket { return c.socket }

// String names the connection, for logs.
func (c *Conn) String() string { return fmt.Sprint(c.socket) }

// GoString is String, for %#v.
func (c *Conn) GoString() string { return c.String() }

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.socket.LocalAddr() }

// RemoteAddr implements net.Conn. Behind a proxy it is the address that the proxy's header names.
func (c *Conn) RemoteAddr() net.Addr { return c.socket.RemoteAddr() }

// Write implements net.Conn. It takes any length and waits for room: it returns once all of p is
// with the kernel or in the connection's queue, which holds WriteBufferSize bytes at most. With an
// error, n says how many bytes were taken. p is not used after Write has returned.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.mu.Lock()
	ctx := c.writeBy.context()
	switch {
	case c.closed:
		err = net.ErrClosed
	case c.noWrite:
		err = errNoWrite
	case c.writeBy.passed:
		err = os.ErrDeadlineExceeded
	}
	c.mu.Unlock()
	switch {
	case err != nil || len(p) == 0:
	case c.engine != nil:
		n, err = c.engine.WriteAtOnce(ctx, p)
	default:
		n, err = c.socket.WriteContext(ctx, p)
	}
	if err != nil {
		return n, c.failed("write", c.whyNoWrite(err))
	}
	return n, nil
}

// errNoWrite is what package net's Write fails with after CloseWrite.
var errNoWrite = os.NewSyscallError("write", syscall.EPIPE)

// whyNoWrite returns why a Write failed with err.
func (c *Conn) whyNoWrite(err error) error {
	if err == os.ErrDeadlineExceeded { //nolint:errorlint // it is c's own; those of the connection's limits match it too
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return net.ErrClosed
	case c.noWrite:
		return errNoWrite
	}
	return c.cause()
}

// Close implements net.Conn. Reads and Writes that wait return net.ErrClosed at once. What was
// written before is still sent, in the background and for CloseTimeout at most; then comes the FIN.
// Unread input is discarded, and the peer gets no reset for it. A second Close returns an error
// that matches net.ErrClosed.
func (c *Conn) Close() error {
	if !c.close() {
		return c.failed("close", net.ErrClosed)
	}
	c.onTurn(func() {
		if !c.isGiven() {
			_ = c.socket.Close()
		}
	})
	return nil
}

// onTurn runs call on the connection's turn, behind a Become that was asked for before. A
// completion is the handler's code too.
func (c *Conn) onTurn(call func()) { c.socket.Do(nil, func(error) { call() }) }

// isGiven reports whether another handler has the connection.
func (c *Conn) isGiven() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.given
}

// close is the part of a Close that concerns c alone. False: it is closed already.
func (c *Conn) close() (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.closed, c.kept = true, nil
	c.readBy.stop()
	c.writeBy.stop()
	c.news.Signal()
	return true
}

// CloseWrite sends FIN behind what was written, in the background; Read goes on. A Write after it
// fails with EPIPE. After Close it is an error that matches net.ErrClosed.
func (c *Conn) CloseWrite() error {
	c.mu.Lock()
	closed := c.closed
	c.noWrite = true
	c.mu.Unlock()
	if closed {
		return c.failed("close", net.ErrClosed)
	}
	c.socket.CloseWrite()
	return nil
}

// CloseRead discards what is unread, and what comes from now on. A Read returns io.EOF. The peer is
// told nothing. After Close it is an error that matches net.ErrClosed.
func (c *Conn) CloseRead() error {
	c.mu.Lock()
	closed, held := c.closed, c.held
	c.noRead, c.held, c.kept = true, false, nil
	c.news.Signal()
	c.mu.Unlock()
	if closed {
		return c.failed("close", net.ErrClosed)
	}
	if held {
		c.socket.Resume()
	}
	return nil
}

// SetDeadline implements net.Conn: it is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, &c.readBy, &c.writeBy) }

// SetReadDeadline implements net.Conn. From t on every Read fails with os.ErrDeadlineExceeded, also
// one that waits. A moment in the past acts at once, the zero time takes the deadline away, and a
// new deadline makes reading possible again. After Close it is an error that matches net.ErrClosed.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, &c.readBy) }

// SetWriteDeadline implements net.Conn. It is for Write what SetReadDeadline is for Read. What a
// Write that fails so has taken is still sent.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, &c.writeBy) }

func (c *Conn) setDeadlines(t time.Time, which ...*deadline) error {
	c.mu.Lock()
	closed := c.closed
	for _, d := range which {
		if !closed {
			d.set(c, t)
		}
	}
	c.mu.Unlock()
	if closed {
		return c.failed("set", net.ErrClosed)
	}
	return nil
}

// failed gives err the form that package net gives it. io.EOF has none.
func (c *Conn) failed(op string, err error) error {
	if err == io.EOF { //nolint:errorlint // it is never wrapped
		return err
	}
	e := &net.OpError{Op: op, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	if e.Addr != nil {
		e.Net = e.Addr.Network()
	}
	return e
}

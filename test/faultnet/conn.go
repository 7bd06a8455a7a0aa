package faultnet

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is a net.Conn that plays a script. Any goroutine may call its methods.
type Conn struct {
	net.Conn
	mu     sync.Mutex
	script Script
	moved  int // bytes so far, while ResetAfter counts
	reset  bool
	closed bool

	closing                     chan struct{} // closed by Close, which frees the calls that stall
	readDeadline, writeDeadline deadline
}

// NewConn returns a Conn that plays script above conn, which belongs to it from now on.
func NewConn(conn net.Conn, script Script) *Conn {
	c := &Conn{Conn: conn, script: script, closing: make(chan struct{})}
	c.readDeadline.init()
	c.writeDeadline.init()
	return c
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	return c.play(c.next(&c.script.Reads), &c.readDeadline, p, c.Conn.Read)
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	return c.play(c.next(&c.script.Writes), &c.writeDeadline, p, c.Conn.Write)
}

// next takes a step off the script.
func (c *Conn) next(steps *[]Step) (s Step) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(*steps) > 0 {
		s, *steps = (*steps)[0], (*steps)[1:]
	}
	return s
}

func (c *Conn) play(s Step, d *deadline, p []byte, move func([]byte) (int, error)) (n int, err error) {
	if err := c.stall(s.Stall, d); err != nil {
		return 0, err
	}
	if s.Most != 0 {
		p = p[:min(len(p), max(s.Most, 0))]
	}
	p, err = c.allowed(p)
	if err != nil {
		return 0, err
	}
	if s.Most != None {
		n, err = move(p)
		c.count(n)
	}
	if s.Err != nil {
		err = s.Err
	}
	return n, err
}

// stall waits, unless the deadline or Close comes first.
func (c *Conn) stall(wait time.Duration, d *deadline) error {
	if wait == 0 {
		return nil
	}
	var over <-chan time.Time
	if wait != Forever {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
		return nil
	case <-d.passed():
		return os.ErrDeadlineExceeded
	case <-c.closing:
		return net.ErrClosed
	}
}

// allowed returns how many bytes may move before ResetAfter.
func (c *Conn) allowed(p []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reset {
		return nil, os.NewSyscallError("reset", syscall.ECONNRESET)
	}
	if most := c.script.ResetAfter; most > 0 {
		p = p[:min(len(p), most-c.moved)]
	}
	return p, nil
}

// count resets the connection after ResetAfter bytes. Calls that run at the same time may each get
// as far as the count allowed before.
func (c *Conn) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved += n
	if most := c.script.ResetAfter; most > 0 && c.moved >= most && !c.reset {
		c.reset = true
		_ = resetConn(c.Conn)
	}
}

// resetConn closes with RST, if that is possible.
func resetConn(conn net.Conn) error {
	_ = call(conn, func(below interface{ SetLinger(int) error }) error { return below.SetLinger(0) })
	return conn.Close()
}

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	if !first {
		return c.Conn.Close()
	}
	close(c.closing)
	if wait := c.script.Close.Stall; wait > 0 {
		time.Sleep(wait)
	}
	if err := c.Conn.Close(); err != nil || c.script.Close.Err == nil {
		return err
	}
	return c.script.Close.Err
}

// CloseWrite sends FIN, where the connection below can.
func (c *Conn) CloseWrite() error {
	return call(c.Conn, func(below interface{ CloseWrite() error }) error { return below.CloseWrite() })
}

// SetLinger with 0 makes Close send RST, where the connection below can.
func (c *Conn) SetLinger(sec int) error {
	return call(c.Conn, func(below interface{ SetLinger(int) error }) error { return below.SetLinger(sec) })
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.readDeadline.set(t)
	c.writeDeadline.set(t)
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.readDeadline.set(t)
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.writeDeadline.set(t)
	return c.Conn.SetWriteDeadline(t)
}

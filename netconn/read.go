package netconn

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"

	"github.com/go-berth/berth/protocol"
)

// A Read that waits has put its memory where the handler finds it, and the handler copies into it.
// Bytes for which no Read waits stay in the connection, which is paused: ReadBufferSize and
// MemoryBudget bound them. The next Read resumes it, and runs the connection's turn itself: so it
// gets the bytes without another goroutine. While Reads keep up the connection is never paused.

// Read implements net.Conn. It returns what there is, at least one byte of it, and waits while
// there is none. After the last byte that the peer sent it returns io.EOF where the peer has closed
// or has closed for writing, and otherwise what ended the connection. Input that came before stays
// readable after a Write has failed.
func (c *Conn) Read(p []byte) (int, error) {
	c.reading.Lock()
	n, err := c.read(p)
	c.reading.Unlock()
	if err != nil {
		return n, c.failed("read", err)
	}
	return n, nil
}

func (c *Conn) read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case len(c.kept) > 0:
			return c.takeKept(p), nil
		case c.noRead:
			return 0, io.EOF
		case c.held:
			c.want, c.got, c.held = p, 0, false
			c.mu.Unlock()
			c.resume()
			c.mu.Lock()
		case c.end != nil:
			return 0, c.end
		default:
			c.want, c.got, c.waits = p, 0, true
			c.news.Wait()
			c.waits = false
		}
		if c.want = nil; c.got > 0 {
			n := c.got
			c.got = 0
			return n, nil
		}
	}
}

// resume has the connection show what it holds.
func (c *Conn) resume() {
	if c.engine != nil && c.inline {
		c.engine.ResumeAtOnce()
	} else {
		c.socket.Resume()
	}
}

func (c *Conn) takeKept(p []byte) int {
	n := copy(p, c.kept)
	if c.kept = c.kept[n:]; len(c.kept) == 0 {
		c.kept = nil
	}
	return n
}

// The rest is the handler's, on the connection's turn.

// data takes what is shown for the Read that waits, and lets it go on before this goroutine sleeps
// in a system call, perhaps, and holds the processor meanwhile.
func (c *Conn) data(b *protocol.Buffer) {
	if c.takeData(b) {
		runtime.Gosched()
	}
}

// takeData leaves in b what no Read takes. It reports whether a Read goes on because of it, on
// another goroutine.
func (c *Conn) takeData(b *protocol.Buffer) (goesOn bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.want != nil && b.Len() > 0 && !c.noRead {
		c.got, c.want = b.CopyTo(c.want), nil
		c.news.Signal()
		goesOn = c.waits
	}
	switch {
	case c.noRead, c.closed && c.last:
		b.Discard(b.Len())
	case b.Len() == 0:
	case c.closed: // a Become may have been asked for before: then the next handler is shown it
		c.held = true
		c.socket.Pause()
	case b.AtEOF(), c.last && len(c.kept) < mostKept: // the connection may end by itself, and then holds nothing
		c.kept = append(c.kept, b.Next(b.Len())...)
		c.news.Signal()
	default:
		c.held = true
		c.socket.Pause() // under the lock: a Read that finds it held resumes after it
	}
	return goesOn
}

// peerClosed notes that the input is at its end.
func (c *Conn) peerClosed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finish(io.EOF)
}

// closing notes that the connection has begun to end. Where the peer is gone, what it sent before
// still comes, and is taken: the connection would not hold it for long.
func (c *Conn) closing(reason protocol.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch reason {
	case protocol.ReasonPeerReset, protocol.ReasonTransportError:
		c.last = true
		if c.held {
			c.held = false
			c.socket.Resume()
		}
	case protocol.ReasonPeerClosed:
		c.finish(io.EOF)
	default:
		c.finish(c.cause())
	}
}

// replaced notes that another handler has the connection, after a Become. Here it is as after a
// Close that leaves the connection open.
func (c *Conn) replaced() {
	c.mu.Lock()
	held := c.held
	c.held, c.given = false, true
	c.mu.Unlock()
	c.close()
	if held {
		c.socket.Resume()
	}
}

// over notes that the connection has ended.
func (c *Conn) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finish(c.cause())
	c.readBy.stop()
	c.writeBy.stop()
}

// finish says what a Read returns after the last byte. The first call decides.
func (c *Conn) finish(end error) {
	if c.end == nil {
		c.end, c.held = end, false
	}
	c.news.Signal()
}

// cause returns what has ended the connection.
func (c *Conn) cause() error {
	info := c.socket.Info()
	var op *net.OpError
	switch {
	case errors.As(info.Err, &op):
		return op.Err
	case info.Err != nil:
		return info.Err
	case info.Reason == protocol.ReasonPeerClosed:
		return errNoWrite
	case info.Reason == protocol.ReasonShutdown:
		return protocol.ErrShutdown
	}
	return protocol.ErrClosed
}

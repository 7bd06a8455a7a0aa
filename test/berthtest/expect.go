package berthtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol"
)

// Expect reads exactly want. Bytes that come after it stay for the next expectation.
func (c *Client) Expect(want string) {
	c.t.Helper()
	c.patiently()
	for {
		n := min(len(want), len(c.in))
		switch {
		case string(c.in[:n]) != want[:n]:
			c.t.Fatalf("berthtest: %s", differ(want, c.in))
			return
		case n == len(want):
			c.in = c.in[n:]
			return
		case !c.fill():
			c.t.Fatalf("berthtest: expected %s, but %s", show([]byte(want)), c.instead())
			return
		}
	}
}

// ExpectLine reads one line, which must be want. Its end, LF or CR LF, is not part of it.
func (c *Client) ExpectLine(want string) {
	c.t.Helper()
	line, ok := c.line()
	switch {
	case !ok:
		c.t.Fatalf("berthtest: expected the line %s, but %s", show([]byte(want)), c.instead())
	case line != want:
		c.t.Fatalf("berthtest: expected the line %s, but the line %s came", show([]byte(want)), show([]byte(line)))
	}
}

// ReadLine reads one line and returns it without its end.
func (c *Client) ReadLine() string {
	c.t.Helper()
	line, ok := c.line()
	if !ok {
		c.t.Fatalf("berthtest: expected a line, but %s", c.instead())
	}
	return line
}

func (c *Client) line() (line string, ok bool) {
	c.patiently()
	for seen := 0; ; {
		if i := bytes.IndexByte(c.in[seen:], '\n'); i >= 0 {
			line := bytes.TrimSuffix(c.in[:seen+i], []byte("\r"))
			c.in = c.in[seen+i+1:]
			return string(line), true
		}
		seen = len(c.in)
		if !c.fill() {
			return "", false
		}
	}
}

// Read reads n bytes and returns them.
func (c *Client) Read(n int) string {
	c.t.Helper()
	c.patiently()
	for len(c.in) < n {
		if !c.fill() {
			c.t.Fatalf("berthtest: expected %d bytes, but %s", n, c.instead())
			return ""
		}
	}
	p := c.in[:n]
	c.in = c.in[n:]
	return string(p)
}

// ReadAll reads until the server's FIN and returns what came.
func (c *Client) ReadAll() string {
	c.t.Helper()
	c.patiently()
	for c.fill() {
		continue
	}
	if c.end != fin {
		c.t.Fatalf("berthtest: expected everything until the server closes, but %s", c.instead())
		return ""
	}
	p := c.in
	c.in = nil
	return string(p)
}

// ExpectNothing waits for the time d. Meanwhile nothing may come and the connection must stay open.
// Outside of a bubble this takes d of real time.
func (c *Client) ExpectNothing(d time.Duration) {
	c.t.Helper()
	_ = c.conn.SetDeadline(time.Now().Add(d))
	if len(c.in) > 0 || c.fill() || c.end != open || c.closed {
		c.t.Fatalf("berthtest: expected nothing for %v, but %s", d, c.instead())
	}
}

// ExpectEOF expects that nothing more comes and that the server closes its direction, by FIN. The
// server may still read: see ExpectClosed.
func (c *Client) ExpectEOF() {
	c.t.Helper()
	c.patiently()
	if len(c.in) > 0 || c.fill() || c.end != fin {
		c.t.Fatalf("berthtest: expected that the server closes, but %s", c.instead())
	}
}

// ExpectReset expects that nothing more comes and that the server resets the connection.
func (c *Client) ExpectReset() {
	c.t.Helper()
	c.patiently()
	if len(c.in) > 0 || c.fill() || c.end != reset {
		c.t.Fatalf("berthtest: expected that the server resets the connection, but %s", c.instead())
	}
}

// ExpectClosed expects that nothing more comes and that the server ends the connection, by FIN or
// by a reset. Then it closes this side and returns the server's reason: ReasonNone for a client
// that the listener refused, and where the reason cannot be known, as with NewClient or behind a
// proxy.
func (c *Client) ExpectClosed() berth.Reason {
	c.t.Helper()
	c.patiently()
	if len(c.in) > 0 || c.fill() || c.end == open || c.end == broken {
		c.t.Fatalf("berthtest: expected that the server ends the connection, but %s", c.instead())
		return protocol.ReasonNone
	}
	if c.news == nil {
		c.Close()
		return protocol.ReasonNone
	}
	ended := await(c.news, c.patience, func() *ending { return c.news.of(c.key) })
	if ended == nil {
		c.t.Fatalf("berthtest: expected that the server ends the connection, " +
			"but it has only closed its own direction")
		return protocol.ReasonNone
	}
	c.Close()
	return ended.reason
}

// fill reads the bytes that are there, or waits for some. It returns false if nothing more came,
// because the stream has ended or because the deadline has passed.
func (c *Client) fill() bool {
	c.late = false
	if c.end != open || c.closed {
		return false
	}
	var p [4096]byte
	n, err := c.conn.Read(p[:])
	c.in = append(c.in, p[:n]...)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.late = true
	case errors.Is(err, io.EOF):
		c.end = fin
	case isReset(err):
		c.end = reset
	case errors.Is(err, net.ErrClosed):
		c.closed = true
	default:
		c.end, c.err = broken, err
	}
	return n > 0
}

// instead says what came instead of what was expected.
func (c *Client) instead() string {
	came := "nothing came"
	if len(c.in) > 0 {
		came = show(c.in) + " came"
	}
	switch {
	case c.end == fin:
		return came + ", and then the server closed" + c.why()
	case c.end == reset:
		return came + ", and then the server reset the connection" + c.why()
	case c.end == broken:
		return fmt.Sprintf("%s, and then reading failed: %v%s", came, c.err, c.why())
	case c.closed:
		return came + ", and then this client closed"
	}
	if c.late {
		return came + ", and the connection stayed open"
	}
	return came
}

// why says why the server ended the connection, if it did. The news may be a little late.
func (c *Client) why() string {
	if c.news == nil {
		return ""
	}
	wait := min(c.patience, time.Second)
	if ended := await(c.news, wait, func() *ending { return c.news.of(c.key) }); ended != nil {
		return " (" + ended.text + ")"
	}
	return ""
}

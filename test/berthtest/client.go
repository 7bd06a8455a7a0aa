package berthtest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// Client is the other end of a connection. If the result that a method expects does not come within
// the patience of the server, the method ends the test with a sentence about what came instead. The
// methods must be called on the test's goroutine.
type Client struct {
	t        testing.TB
	conn     net.Conn
	patience time.Duration
	news     *news // nil without a Server
	key      string

	in     []byte // has come and was not expected yet
	end    end    // of what comes
	err    error  // with broken
	closed bool   // by this side
	late   bool   // the last read found nothing within its time
}

// end says how the stream from the server ended.
type end uint8

const (
	open   end = iota // it has not
	fin               // in an orderly way
	reset             // by RST
	broken            // by another error
)

// NewClient returns a Client of a connection that the test has made, to any kind of server. The
// connection is closed with the test.
func NewClient(t testing.TB, conn net.Conn) *Client {
	t.Helper()
	patience := realPatience
	if inBubble() {
		patience = bubblePatience
	}
	c := newClient(t, conn, patience)
	t.Cleanup(func() { _ = conn.Close() })
	return c
}

func newClient(t testing.TB, conn net.Conn, patience time.Duration) *Client {
	return &Client{t: t, conn: conn, patience: patience, key: conn.LocalAddr().String()}
}

// Conn returns the connection, for operations that Client does not offer. Bytes that the client has
// read already do not come there again.
func (c *Client) Conn() net.Conn { return c.conn }

// TLS starts TLS on the connection, with this side as the client. It must be called before the
// first Send, or after the Send of a proxy's header.
func (c *Client) TLS(config *tls.Config) {
	c.t.Helper()
	secured := tls.Client(c.conn, config)
	c.conn = secured
	c.patiently()
	if err := secured.Handshake(); err != nil {
		c.t.Fatalf("berthtest: the TLS handshake of %s failed: %v%s", c.name(), err, c.why())
	}
}

// Send writes all of data. It waits while the server does not read. For data larger than the
// buffers between the two, another goroutine must read the answer meanwhile, or another goroutine
// must send the data with Conn.
func (c *Client) Send(data string) {
	c.t.Helper()
	c.patiently()
	n, err := io.WriteString(c.conn, data)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.t.Fatalf("berthtest: %s could send only %d of %d bytes: the server did not read within %v%s",
			c.name(), n, len(data), c.patience, c.why())
	default:
		c.t.Fatalf("berthtest: %s cannot send %s: %v%s", c.name(), show([]byte(data)), err, c.why())
	}
}

// CloseWrite tells the server, by FIN, that no more will come. The client can still expect what the
// server sends.
func (c *Client) CloseWrite() {
	c.t.Helper()
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok {
		c.t.Fatalf("berthtest: CloseWrite: a %T cannot be closed for writing alone", c.conn)
		return
	}
	if err := half.CloseWrite(); err != nil {
		c.t.Fatalf("berthtest: %s cannot close for writing: %v%s", c.name(), err, c.why())
	}
}

// Close closes this side. As with every connection, the server sees a reset instead of FIN if
// something has come that was not read. Closing twice is the same as closing once.
func (c *Client) Close() {
	c.closed = true
	_ = c.conn.Close()
}

// Reset ends the connection with RST: data under way in both directions is lost.
func (c *Client) Reset() {
	c.t.Helper()
	conn := c.conn
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	lingers, ok := conn.(interface{ SetLinger(sec int) error })
	if !ok {
		c.t.Fatalf("berthtest: Reset: a %T cannot be reset", conn)
		return
	}
	_ = lingers.SetLinger(0)
	c.closed = true
	_ = conn.Close()
}

// patiently bounds the calls that follow.
func (c *Client) patiently() { _ = c.conn.SetDeadline(time.Now().Add(c.patience)) }

// name names the client in a failure.
func (c *Client) name() string {
	if c.conn.LocalAddr().Network() == "sim" {
		return c.key // it begins with "client"
	}
	return "client " + c.key
}

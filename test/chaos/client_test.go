package chaos

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// client sends messages of random bytes, one after another, and requires each back. Its connection
// may end at any time. Then its input must be a prefix of its output, and it connects again.
type client struct {
	addr   string
	ledger *ledger
	random *rand.Rand
	pause  time.Duration // the longest between two messages
	faults bool          // ends its own connections in all ways
	secure bool          // by TLS, whatever the certificate
}

const (
	biggestMessage = 4 << 10
	mostMessages   = 200 // of one connection
)

// run connects again and again until stop is closed.
func (c *client) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		conn, err := net.Dial("tcp", c.addr)
		switch {
		case err == nil:
			c.ledger.dialled.Add(1)
			c.talk(conn.(*net.TCPConn), c.over(conn), stop)
		case errors.Is(err, syscall.ECONNRESET):
			// The connection was killed before the dial had returned, and the dial says so.
		default:
			c.ledger.violation("G9", "dial: %v", err)
			return
		}
	}
}

// end is a connection that can be closed in one direction.
type end interface {
	net.Conn
	CloseWrite() error
}

// over returns what is spoken over conn.
func (c *client) over(conn net.Conn) end {
	if c.secure {
		return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
	}
	return conn.(end)
}

// talk is one connection, over socket.
func (c *client) talk(socket *net.TCPConn, conn end, stop <-chan struct{}) {
	defer socket.Close()
	message, back := make([]byte, biggestMessage), make([]byte, biggestMessage)
	for range 1 + c.random.IntN(mostMessages) {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(c.random.Int64N(int64(c.pause)))):
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		m := message[:1+c.random.IntN(biggestMessage)]
		for i := range m {
			m[i] = byte(c.random.Uint32())
		}
		m[0] |= 0x80 // so that it does not read panic
		sent := c.send(conn, m)
		n, err := io.ReadFull(conn, back[:len(m)])
		if !bytes.Equal(back[:n], m[:n]) {
			c.ledger.violation("G3", "other bytes came back than were sent")
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.ledger.violation("G13", "neither an answer nor an end within %v", patience)
			return
		case err != nil || sent != nil:
			c.ledger.cut.Add(1)
			return
		}
		c.ledger.echoed.Add(1)
	}
	if c.faults {
		c.misbehave(socket, conn, back)
	}
}

// send writes m whole, or in two pieces.
func (c *client) send(conn net.Conn, m []byte) error {
	if c.random.IntN(4) > 0 {
		_, err := conn.Write(m)
		return err
	}
	cut := c.random.IntN(len(m))
	_, err := conn.Write(m[:cut])
	_, err2 := conn.Write(m[cut:])
	return errors.Join(err, err2)
}

// misbehave ends the connection in one of the ways that clients do.
func (c *client) misbehave(socket *net.TCPConn, conn end, scratch []byte) {
	switch c.random.IntN(5) {
	case 0: // in an orderly way
		_ = conn.CloseWrite()
		_, _ = io.CopyBuffer(io.Discard, conn, scratch)
	case 1: // by a reset, with an answer on its way
		_, _ = conn.Write(scratch)
		_ = socket.SetLinger(0)
	case 2: // by a fault in the handler
		_, _ = io.WriteString(conn, "panic")
		_, _ = io.CopyBuffer(io.Discard, conn, scratch)
	case 3: // without reading its input
		_, _ = conn.Write(scratch)
	}
}

// crowd is many clients. Each has random numbers of its own, from one seed.
type crowd struct {
	stop    chan struct{}
	running sync.WaitGroup
}

func gather(n int, seed uint64, like client) *crowd {
	c := &crowd{stop: make(chan struct{})}
	for i := range n {
		one := like
		one.random = rand.New(rand.NewPCG(seed, uint64(i)))
		c.running.Go(func() { one.run(c.stop) })
	}
	return c
}

// leave ends the clients and joins them.
func (c *crowd) leave() {
	close(c.stop)
	c.running.Wait()
}

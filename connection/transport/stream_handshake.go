package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"sync"
)

// NewTLSStream is NewStream with TLS over conn, at the server's side.
func NewTLSStream(conn net.Conn, config *tls.Config, joined *sync.WaitGroup) *Stream {
	s := NewStream(conn, joined)
	s.config = config
	s.below = &below{Conn: conn, stream: s}
	return s
}

// NewTLSClientStream is NewTLSStream at the client's side.
func NewTLSClientStream(conn net.Conn, config *tls.Config, joined *sync.WaitGroup) *Stream {
	s := NewTLSStream(conn, config, joined)
	s.client = true
	return s
}

// Renegotiates reports whether a client with this configuration, which may be nil, shakes hands
// again when the server asks for it. Only a Stream can do that: it is a handshake within a read.
func Renegotiates(config *tls.Config) bool {
	return config != nil && config.Renegotiation != tls.RenegotiateNever
}

// TLS implements Conn.
func (s *Stream) TLS() *tls.ConnectionState {
	c, ok := Below[interface{ ConnectionState() tls.ConnectionState }](s.conn)
	if !ok {
		return nil
	}
	state := c.ConnectionState()
	return &state
}

// handshaker is the method of a tls.Conn, of one made here or of one from a listener of the user's.
type handshaker interface {
	HandshakeContext(ctx context.Context) error
}

// secured reports whether conn is a tls.Conn, or contains one.
func secured(conn net.Conn) bool {
	_, ok := conn.(handshaker)
	return ok
}

// handshake as a question to the reader.
const handshake = -1

// Handshake implements Conn: it asks the reader. Bytes that were read before TLS are its beginning.
func (s *Stream) Handshake(in *Input, _ int) error {
	if s.config != nil {
		s.below.Conn = precede(in, s.socket)
		if s.client {
			s.conn = tls.Client(s.below, s.config)
		} else {
			s.conn = tls.Server(s.below, s.config)
		}
		s.config = nil
	}
	if !secured(s.conn) {
		return nil
	}
	if s.answered.Load() {
		return s.fetched()
	}
	if !s.asking {
		s.asking = true
		s.asked <- handshake
	}
	return ErrAgain
}

// shakeHands guards the handshake: a tls.Config's callbacks are the user's code. There is no
// deadline: HandshakeTimeout aborts the connection, which closes the socket.
func (s *Stream) shakeHands() (err error) {
	h, ok := s.conn.(handshaker)
	if !ok {
		return nil
	}
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("handshake panicked: %v", value)
		}
	}()
	err = h.HandshakeContext(context.Background())
	runtime.KeepAlive(s) // a stack trace shows it
	return err
}

// preceded is a connection of which the first bytes have been read already.
type preceded struct {
	net.Conn
	first []byte
}

// precede takes the bytes of in.
func precede(in *Input, conn net.Conn) net.Conn {
	if in.Len() == 0 {
		return conn
	}
	defer in.Release()
	return &preceded{conn, bytes.Clone(in.Bytes())}
}

// Read implements net.Conn.
func (c *preceded) Read(p []byte) (int, error) {
	if len(c.first) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.first)
	c.first = c.first[n:]
	return n, nil
}

package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"
)

// NewTLSStream is NewStream with TLS over conn, at the server's side.
func NewTLSStream(conn net.Conn, config *tls.Config, joined *sync.WaitGroup) *Stream {
	s := NewStream(conn, joined)
	s.config = config
	s.below.Store(&below{Conn: conn, stream: s})
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
	if b := s.below.Load(); b != nil {
		if !b.over.Load() {
			return nil
		}
		state := b.tls.ConnectionState()
		return &state
	}
	c, ok := Below[interface{ ConnectionState() tls.ConnectionState }](s.socket)
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
		if err := s.callBack(in); err != nil {
			return err
		}
		s.cover(in)
	}
	if !secured(s.conn) {
		return nil
	}
	if s.answered.Load() {
		err := s.fetched()
		if b := s.below.Load(); b != nil && err == nil {
			b.over.Store(true)
		}
		return err
	}
	if !s.asking {
		s.asking = true
		s.asked <- handshake
	}
	return ErrAgain
}

// startTLS is StartTLS for a Stream. Handshake does the rest.
func (s *Stream) startTLS(config *tls.Config, client bool) { s.config, s.client = config, client }

// callBack ends a read that is under way, and gives to in what was read before TLS. It returns
// ErrAgain until the reader has answered. A net.Conn without deadlines returns from the read with
// the peer's next bytes.
func (s *Stream) callBack(in *Input) error {
	for len(s.held) > 0 {
		s.fillHeld(in, s.held[0].n)
	}
	switch {
	case !s.asking:
		return nil
	case !s.answered.Load():
		if !s.called.Swap(true) {
			_ = s.socket.SetReadDeadline(past)
		}
		return ErrAgain
	}
	if s.called.Swap(false) {
		_ = s.socket.SetReadDeadline(time.Time{})
		if s.ended.Load() {
			_ = s.socket.SetReadDeadline(past) // Abort's
		}
	}
	if n := s.n - s.start; n > 0 {
		in.Append(s.rest(), n)
		s.chunk, s.start, s.n = nil, 0, 0
	}
	return s.fetched()
}

// cover puts TLS over the socket. Bytes of in are its beginning.
func (s *Stream) cover(in *Input) {
	b := s.below.Load()
	if b == nil {
		b = &below{stream: s}
	}
	b.Conn = precede(in, s.socket)
	if s.client {
		b.tls = tls.Client(b, s.config)
	} else {
		b.tls = tls.Server(b, s.config)
	}
	s.config = nil
	s.conn = b.tls
	s.below.Store(b)
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

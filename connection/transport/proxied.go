package transport

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
)

// Proxied is a Conn of a client that comes through a proxy: its handshake begins with the header in
// which the proxy tells the client's address. The header is read on the connection's turn, as input
// is, over whatever Conn it comes.
type Proxied struct {
	Conn
	admit  func(client net.Addr) error
	header atomic.Pointer[ProxyHeader] // nil until it is known
}

var _ Conn = (*Proxied)(nil)

// NewProxied wraps conn. admit decides, on the connection's turn, whether the client that the
// header names may stay. Its error becomes the handshake's. With a nil admit all clients may stay.
func NewProxied(conn Conn, admit func(client net.Addr) error) *Proxied {
	return &Proxied{Conn: conn, admit: admit}
}

// Open implements Conn.
func (p *Proxied) Open(events Events) bool {
	p.Conn.Open(events)
	return false
}

// Handshake implements Conn: the header, and then conn's own.
func (p *Proxied) Handshake(in *Input, room int) error {
	if p.header.Load() == nil {
		if err := p.readHeader(in, room); err != nil {
			return err
		}
	}
	return p.Conn.Handshake(in, room)
}

// readHeader takes the header out of in, and the missing part out of the Conn.
func (p *Proxied) readHeader(in *Input, room int) error {
	for {
		size, err := proxyHeaderSize(in.Bytes())
		if err != nil {
			return err
		}
		if size <= in.Len() {
			return p.take(in, size)
		}
		// The header has at least size bytes, so at most room can come behind it.
		_, err = p.Conn.Fill(in, size-in.Len()+room)
		switch {
		case err == nil:
		case errors.Is(err, ErrAgain):
			return err
		case errors.Is(err, io.EOF):
			return badProxyHeader(io.ErrUnexpectedEOF)
		default:
			return badProxyHeader(err)
		}
	}
}

// Ahead is the Conn's own Ahead. reads is false if the Conn has none.
func (p *Proxied) Ahead(room int) (memory int, reads bool) {
	if stream, ok := p.Conn.(*Stream); ok {
		return stream.Ahead(room)
	}
	return 0, false
}

// Shrink is the Conn's own Shrink.
func (p *Proxied) Shrink() {
	if stream, ok := p.Conn.(*Stream); ok {
		stream.Shrink()
	}
}

func (p *Proxied) take(in *Input, size int) error {
	h, err := parseProxyHeader(in.Bytes()[:size])
	if err != nil {
		return err
	}
	in.Keep(in.Len() - size)
	p.header.Store(h)
	if p.admit == nil {
		return nil
	}
	return p.admit(p.RemoteAddr())
}

// Header returns nil until the header is known. Any goroutine may call it.
func (p *Proxied) Header() *ProxyHeader { return p.header.Load() }

// LocalAddr implements Conn: what the client connected to, as far as that is known.
func (p *Proxied) LocalAddr() net.Addr {
	if h := p.header.Load(); h != nil && h.Destination != nil {
		return h.Destination
	}
	return p.Conn.LocalAddr()
}

// RemoteAddr implements Conn: the client, as far as it is known.
func (p *Proxied) RemoteAddr() net.Addr {
	if h := p.header.Load(); h != nil && h.Source != nil {
		return h.Source
	}
	return p.Conn.RemoteAddr()
}

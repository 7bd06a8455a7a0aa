package connection

import (
	"crypto/tls"
	"syscall"

	"github.com/go-berth/berth/protocol"
)

// TLS implements protocol.Socket.
func (c *Connection) TLS() *tls.ConnectionState {
	phase := c.phase.Load()
	if state(phase%halfClosed) == opening || phase&securing != 0 {
		return nil
	}
	return c.connIn(phase).TLS()
}

// SyscallConn implements protocol.Socket.
func (c *Connection) SyscallConn() (syscall.RawConn, error) {
	if !c.conn().Control(func(uintptr) {}) {
		return nil, protocol.ErrNoDescriptor
	}
	return descriptor{c}, nil
}

// descriptor is the syscall.RawConn of a connection.
type descriptor struct{ c *Connection }

// Control implements syscall.RawConn.
func (d descriptor) Control(f func(fd uintptr)) error {
	if !d.c.conn().Control(f) {
		return protocol.ErrNoDescriptor
	}
	return nil
}

// Read implements syscall.RawConn: the connection reads.
func (d descriptor) Read(func(fd uintptr) bool) error { return protocol.ErrNoDescriptor }

// Write implements syscall.RawConn: the connection writes.
func (d descriptor) Write(func(fd uintptr) bool) error { return protocol.ErrNoDescriptor }

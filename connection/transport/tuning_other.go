//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package transport

import "net"

// SetBuffers does nothing here: the buffers are set on each connection.
func SetBuffers(net.Listener, int, int) error { return nil }

// Limit sets the sizes of the kernel's buffers here, which is more than it asks for.
func Limit(conn net.Conn, recv, send int) {
	c, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if recv > 0 {
		_ = c.SetReadBuffer(recv)
	}
	if send > 0 {
		_ = c.SetWriteBuffer(send)
	}
}

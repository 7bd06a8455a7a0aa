//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package transport

import "net"

// SetBuffers does nothing here: the buffers are set on each connection.
func SetBuffers(net.Listener, int, int) error { return nil }

//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package transport

import "net"

// Dismiss says closeNotify to a client without waiting; here that cannot be done with any net.Conn.
func Dismiss(net.Conn, []byte) bool { return false }

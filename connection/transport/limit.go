//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Limit bounds what the kernel holds of a connection: about recv bytes that it has received and
// that were not read, and send bytes that it could not send yet. 0 leaves a limit as it is. It does
// nothing for connections that are no sockets of the system's.
func Limit(conn net.Conn, recv, send int) {
	_, tcp := conn.(*net.TCPConn)
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := socket.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { limit(int(fd), tcp, recv, send) })
	}
}

// Limit is the function Limit for this connection.
func (p *Poll) Limit(recv, send int) {
	if p.lease.take() {
		defer p.release()
		_, tcp := p.origin.Load().local.(*net.TCPAddr)
		limit(int(p.fd), tcp, recv, send)
	}
}

// limit ignores errors: they come from a connection that is gone already. A limit of bytes that
// were not sent yet costs no speed, because bytes on their way do not count. A unix socket's sender
// holds all bytes.
func limit(fd int, tcp bool, recv, send int) {
	switch {
	case send == 0:
	case tcp && notSentLowat != unknown:
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, notSentLowat, send)
	default:
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, send)
	}
	if tcp && recv != 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, recv)
	}
}

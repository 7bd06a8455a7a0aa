//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Dismiss sends message and FIN and closes, all without waiting: for a client that does not become
// a connection. What the client has sent so far is read and dropped, because a close with unread
// input resets the connection, and that may destroy the message.
func (p *Poll) Dismiss(message []byte) {
	if p.lease.take() {
		dismiss(int(p.fd), message)
		p.release()
	}
	_ = p.Close()
}

// Dismiss does the same with a net.Conn. It returns false, and does nothing, if the net.Conn is
// none of the system's own sockets.
func Dismiss(conn net.Conn, message []byte) bool {
	var raw syscall.RawConn
	var err error
	switch c := conn.(type) { // and nothing that contains one: its bytes may have a form of their own
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	default:
		return false
	}
	if err == nil {
		_ = raw.Control(func(fd uintptr) { dismiss(int(fd), message) })
	}
	_ = conn.Close()
	return true
}

// mostUnread is the most input that is read and dropped, in bytes: more than a client can send
// before it is accepted.
const mostUnread = 256 << 10

// dismiss does what comes before the close. Its errors are ignored: no caller could act on them.
func dismiss(fd int, message []byte) {
	raceRelease(message)
	_, _ = unix.Write(fd, message)
	_ = shutdownWrite(fd)
	sink := NewChunk(4 << 10)
	defer sink.Release()
	for read := 0; read < mostUnread; {
		n, err := unix.Read(fd, sink.Bytes)
		if n <= 0 && !errors.Is(err, unix.EINTR) {
			return
		}
		read += max(n, 0)
	}
}

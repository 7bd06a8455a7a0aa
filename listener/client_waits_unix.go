//go:build unix

package listener

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// clientWaits asks the kernel whether a client is in the backlog of l. known is false if l is none
// of the system's sockets.
func clientWaits(l net.Listener) (there, known bool) {
	socket, ok := l.(syscall.Conn)
	if !ok {
		return false, false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false, false
	}
	err = raw.Control(func(fd uintptr) {
		waiting := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			n, err := unix.Poll(waiting, 0)
			if !errors.Is(err, unix.EINTR) {
				there, known = n > 0, err == nil
				return
			}
		}
	})
	return there, known && err == nil
}

//go:build unix && !aix

package transport

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Duplicate returns another descriptor of a socket, closed on exec and non-blocking, as all of
// package net's are. It is not the File of a net.Conn or net.Listener: a process that is started
// with that makes the socket a blocking one for all processes that have it.
func Duplicate(socket syscall.Conn) (fd int, err error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1, err
	}
	controlErr := raw.Control(func(original uintptr) { fd, err = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(os.NewSyscallError("fcntl", err), controlErr)
}

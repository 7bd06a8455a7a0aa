//go:build unix && !aix

package listener

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// closeOnExec fails for a descriptor that is not open, or that was closed on exec before and so did
// not come through an exec.
func closeOnExec(fd int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	switch {
	case err != nil:
		return os.NewSyscallError("fcntl", err)
	case flags&unix.FD_CLOEXEC != 0:
		return errors.New("it is closed on exec")
	}
	unix.CloseOnExec(fd)
	return nil
}

// checkListening checks that a socket listens. Package net does not: it would take any stream
// socket for a listening one.
func checkListening(fd int) error {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	switch {
	case err != nil:
		return os.NewSyscallError("getsockopt", err)
	case kind != unix.SOCK_STREAM:
		return errors.New("it is no stream socket")
	}
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err == nil && listening == 0 {
		return errors.New("it does not listen")
	}
	return nil // macOS does not have this option: its error says nothing about the socket
}

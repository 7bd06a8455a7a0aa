//go:build unix && !aix

package listener

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// duplicate returns another descriptor of l's socket. It is not the File of l: starting a process
// with that would make the socket a blocking one in all processes that have it, and Accept could
// not be called back any more.
func duplicate(l net.Listener) (*os.File, error) {
	raw, ok := l.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("berth: a %T has no descriptor to hand over", l)
	}
	conn, err := raw.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("berth: %w", err)
	}
	var fd int
	controlErr := conn.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(os.NewSyscallError("fcntl", err), controlErr); err != nil {
		return nil, fmt.Errorf("berth: %w", err)
	}
	return os.NewFile(uintptr(fd), l.Addr().String()), nil
}

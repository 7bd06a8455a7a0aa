package load

import (
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// anyInput are the events that make a loop read until nothing is left.
const anyInput = unix.EPOLLIN | unix.EPOLLRDHUP

// dial starts a connection without waiting for it; epoll says when it is open. Connections come
// from sixteen loopback addresses in turn, each with its own range of ports: a port rests for a
// second after its connection closed, and one address has 28,000.
func dial(to netip.AddrPort, number int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("no socket: %w", err)
	}
	if err := connect(fd, to, number); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func connect(fd int, to netip.AddrPort, number int) error {
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("TCP_NODELAY cannot be set: %w", err)
	}
	// Without this, bind takes a port from the whole machine's range for every address.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return fmt.Errorf("IP_BIND_ADDRESS_NO_PORT cannot be set: %w", err)
	}
	from := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + number%16)}}
	if err := unix.Bind(fd, from); err != nil {
		return fmt.Errorf("no local address: %w", err)
	}
	err := unix.Connect(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	if err != nil && err != unix.EINPROGRESS {
		return fmt.Errorf("no connection to %s: %w", to, err)
	}
	return nil
}

// rawRead and rawWrite bypass the scheduler: the sockets do not block, so it need not be told.
func rawRead(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

func rawWrite(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

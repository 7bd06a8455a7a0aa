//go:build !berthcycle

package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls that one message makes. They are raw: on sockets that never block they return in
// microseconds, and the scheduler need not hear of them. With the build tag berthcycle they work on
// sockets in memory; see calls_memory_linux.go.

// recvfrom reads into p, which is not empty.
func recvfrom(fd int, p []byte) (uintptr, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
	return n, errno
}

// sendto writes p, which is not empty.
func sendto(fd int, p []byte) (uintptr, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	return n, errno
}

// epollNow returns what has come, without waiting.
func epollNow(epoll int, events *[pollBatch]unix.EpollEvent) (uintptr, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), pollBatch, 0, 0, 0)
	return n, errno
}

func epollCtl(epoll, operation, fd int, event *unix.EpollEvent) error {
	return unix.EpollCtl(epoll, operation, fd, event)
}

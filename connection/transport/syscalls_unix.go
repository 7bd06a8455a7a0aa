//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"errors"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

func shutdownWrite(fd int) error {
	raceRelease()
	return unix.Shutdown(fd, unix.SHUT_WR)
}

func closeFD(fd int) {
	raceRelease()
	_ = unix.Close(fd)
}

// again turns EAGAIN into ErrAgain.
func again(err error) error {
	if errors.Is(err, unix.EAGAIN) {
		return ErrAgain
	}
	return err
}

// resetOnClose makes the close send RST.
func resetOnClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0})
}

// zoned names the interface of a link-local address, and leaves an IPv4-mapped address mapped: as
// package net does.
func zoned(ip [16]byte, zone uint32) netip.Addr {
	addr := netip.AddrFrom16(ip)
	if zone == 0 {
		return addr
	}
	name := strconv.Itoa(int(zone))
	if i, err := net.InterfaceByIndex(int(zone)); err == nil {
		name = i.Name
	}
	return addr.WithZone(name)
}

// socketError takes the error that a broken socket has, ECONNRESET where another call has taken it.
func socketError(fd int) error {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil || errno == 0 {
		return unix.ECONNRESET
	}
	return unix.Errno(errno)
}

// unread returns how many bytes have come and were not read.
func unread(fd int) int {
	n, err := unix.IoctlGetInt(fd, fionread)
	if err != nil {
		return 0
	}
	return n
}

// hungUp reports whether a TCP socket is closed in both directions.
func hungUp(fd int) bool { return pollNow(fd, 0)&unix.POLLHUP != 0 }

// pollNow asks for the given events, and for what poll(2) tells besides. It does not wait.
func pollNow(fd int, events int16) int16 {
	asked := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	if n, err := unix.Poll(asked[:], 0); err != nil || n == 0 {
		return 0
	}
	return asked[0].Revents
}

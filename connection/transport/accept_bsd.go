//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// accept accepts one connection, non-blocking and closed on exec. The lock keeps a fork of this process from
// inheriting the descriptor between the two calls.
func accept(listener int) (int, netip.AddrPort, error) {
	syscall.ForkLock.RLock()
	fd, from, err := unix.Accept(listener)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, netip.AddrPort{}, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		closeFD(fd)
		return -1, netip.AddrPort{}, err
	}
	return fd, addrPort(from), nil
}

// keepAliveEvery leaves the times to the system: the BSDs name the options differently, and some have none per socket.
func keepAliveEvery(func(level, option, value int) error, time.Duration) error { return nil }

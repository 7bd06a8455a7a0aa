//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// inherits says that accepted sockets have the listening socket's options. Not all of these systems
// hand all of them on.
const inherits = false

// acceptCall is the name of the system call that fails.
const acceptCall = "accept"

// accept accepts one connection, non-blocking and closed on exec. The lock keeps a fork of this
// process from inheriting the descriptor between the two calls.
func accept(listener int) (int, peer, error) {
	syscall.ForkLock.RLock()
	fd, from, err := unix.Accept(listener)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, peer{}, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		closeFD(fd)
		return -1, peer{}, err
	}
	if local, ok := from.(*unix.SockaddrUnix); ok {
		return fd, peer{path: local.Name}, nil
	}
	return fd, peer{addr: addrPort(from)}, nil
}

// localAddr returns the zero value where the kernel does not tell.
func localAddr(fd int) netip.AddrPort {
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(addr)
}

func addrPort(addr unix.Sockaddr) netip.AddrPort {
	switch a := addr.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(zoned(a.Addr, a.ZoneId), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// unnamed is the address of a unix socket that was not bound, as package net has it.
var unnamed = net.UnixAddr{Net: "unix"}

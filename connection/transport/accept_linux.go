package transport

import (
	"errors"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// accept accepts one connection, non-blocking and closed on exec. unix.Accept4 would allocate for the address.
func accept(listener int) (int, netip.AddrPort, error) {
	var from unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(from))
	fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return int(fd), rawAddrPort(&from), nil
}

// rawAddrPort returns the zero value for other than IP sockets.
func rawAddrPort(from *unix.RawSockaddrAny) netip.AddrPort {
	switch from.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), networkOrder(a.Port))
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(from))
		return netip.AddrPortFrom(zoned(a.Addr, a.Scope_id), networkOrder(a.Port))
	}
	return netip.AddrPort{}
}

func networkOrder(port uint16) uint16 {
	p := (*[2]byte)(unsafe.Pointer(&port))
	return uint16(p[0])<<8 | uint16(p[1])
}

// keepAliveEvery sets the idle time before the first probe and the time between probes, in whole seconds.
func keepAliveEvery(set func(level, option, value int) error, d time.Duration) error {
	seconds := int((d + time.Second - 1) / time.Second)
	return errors.Join(
		set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds),
		set(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds))
}

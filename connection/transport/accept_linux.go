package transport

import (
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inherits says that accepted sockets have the listening socket's options.
const inherits = true

// acceptCall is the name of the system call that fails.
const acceptCall = "accept4"

// accept accepts one connection, non-blocking and closed on exec. unix.Accept4 would allocate for
// the address.
func accept(listener int) (int, peer, error) {
	var from unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(from))
	fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, peer{}, errno
	}
	if from.Addr.Family == unix.AF_UNIX {
		return int(fd), peer{path: pathOf((*unix.RawSockaddrUnix)(unsafe.Pointer(&from)))}, nil
	}
	return int(fd), peer{addr: rawAddrPort(&from)}, nil
}

// pathOf writes an abstract name with @, as package net does; it ends at the first NUL.
func pathOf(addr *unix.RawSockaddrUnix) string {
	var name [len(addr.Path)]byte
	n := 0
	for i, c := range addr.Path {
		switch {
		case i == 0 && c == 0:
			name[i] = '@'
		case c == 0:
			return string(name[:n])
		default:
			name[i] = byte(c)
		}
		n++
	}
	return string(name[:n])
}

// localAddr returns the zero value where the kernel does not tell.
func localAddr(fd int) netip.AddrPort {
	var addr unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(addr))
	_, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&addr)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return netip.AddrPort{}
	}
	return rawAddrPort(&addr)
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

// unnamed is the address of a unix socket that was not bound, as package net has it.
var unnamed = net.UnixAddr{Name: "@", Net: "unix"}

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Adoptable reports whether Adopt takes conn: it is one of the system's own sockets, with nothing
// over it.
func Adoptable(conn net.Conn) bool {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// Adopt makes a Poll of a connected socket of package net. The descriptor of conn is duplicated and
// conn is closed, so that the runtime's poller no longer watches the socket; the peer notices
// nothing. conn is left as it is where there is an error.
func Adopt(set *PollSet, conn net.Conn) (*Poll, error) {
	if !Adoptable(conn) {
		return nil, fmt.Errorf("berth: a %T cannot be polled", conn)
	}
	fd, err := Duplicate(conn.(syscall.Conn))
	if err != nil {
		return nil, fmt.Errorf("berth: cannot duplicate the socket: %w", err)
	}
	o := &origin{set: set, local: conn.LocalAddr()}
	var remote netip.AddrPort
	switch addr := conn.RemoteAddr().(type) {
	case *net.TCPAddr:
		remote = addr.AddrPort()
	case *net.UnixAddr:
		o.client = addr
	}
	_ = conn.Close()
	return newPoll(o, fd, remote), nil
}

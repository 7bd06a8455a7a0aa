//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SocketOptions are set on the listening socket, from which connections inherit them, and on each
// connection that was in the backlog before. A unix socket's connections inherit nothing; the
// buffers are set on each.
type SocketOptions struct {
	NoDelay    bool
	KeepAlive  KeepAlive
	RecvBuffer int // bytes; 0: the kernel's choice
	SendBuffer int
}

// KeepAlive holds the settings of TCP's keep-alive probes. The fields of its net.KeepAliveConfig
// mean what they mean in package net: a time or a count of 0 is a default, a negative one what the
// listening socket had at first.
type KeepAlive struct {
	net.KeepAliveConfig
	Leave bool // all of it is what the listening socket had at first
}

// The defaults of package net.
const (
	defaultProbeTime  = 15 * time.Second
	defaultProbeCount = 9
)

// probes are the values of the options for keep-alive probes; negative: not known, or not to be
// set.
type probes struct{ on, idle, interval, count int }

// unknown is an option that the kernel does not tell, or that the platform does not have.
const unknown = -1

// probesOf returns the probes of a socket.
func probesOf(fd int) probes {
	get := func(level, option int) int {
		if option == unknown {
			return unknown
		}
		value, err := unix.GetsockoptInt(fd, level, option)
		if err != nil {
			return unknown
		}
		return value
	}
	return probes{
		on:       get(unix.SOL_SOCKET, unix.SO_KEEPALIVE),
		idle:     get(unix.IPPROTO_TCP, keepIdle),
		interval: get(unix.IPPROTO_TCP, keepInterval),
		count:    get(unix.IPPROTO_TCP, keepCount),
	}
}

// wanted returns the probes that k asks for on a socket that had first at first.
func (k *KeepAlive) wanted(first probes) probes {
	switch {
	case k.Leave:
		return first
	case !k.Enable:
		return probes{0, unknown, unknown, unknown}
	}
	want := probes{1, seconds(k.Idle), seconds(k.Interval), k.Count}
	if k.Count == 0 {
		want.count = defaultProbeCount
	}
	for _, one := range [...]struct{ want, first *int }{
		{&want.idle, &first.idle}, {&want.interval, &first.interval}, {&want.count, &first.count},
	} {
		if *one.want < 0 {
			*one.want = *one.first
		}
	}
	return want
}

// seconds rounds up, as package net does.
func seconds(d time.Duration) int {
	switch {
	case d == 0:
		d = defaultProbeTime
	case d < 0:
		return unknown
	}
	return int((d + time.Second - 1) / time.Second)
}

// set stops at the first option that the kernel refuses, as package net does: the socket goes
// without the rest.
func (p probes) set(fd int) {
	for _, one := range [...]struct{ level, option, value int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, p.on},
		{unix.IPPROTO_TCP, keepIdle, p.idle},
		{unix.IPPROTO_TCP, keepInterval, p.interval},
		{unix.IPPROTO_TCP, keepCount, p.count},
	} {
		if one.value < 0 || one.option == unknown {
			continue
		}
		if unix.SetsockoptInt(fd, one.level, one.option, one.value) != nil {
			return
		}
	}
}

// tune sets o on a socket; first are the probes that it had at first. Options that the kernel does
// not know are skipped, no delay and probes in any case, as in package net. The error is that of an
// impossible buffer size.
func (o *SocketOptions) tune(fd int, tcp bool, first probes) error {
	if tcp {
		noDelay := 0
		if o.NoDelay {
			noDelay = 1
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, noDelay)
		o.KeepAlive.wanted(first).set(fd)
	}
	return setBuffers(fd, o.RecvBuffer, o.SendBuffer)
}

// SetBuffers sets the sizes of the kernel's buffers, in bytes, of a listening socket; 0 leaves one
// as it is. It does nothing where l has no descriptor.
func SetBuffers(l net.Listener, recv, send int) (err error) {
	socket, ok := l.(syscall.Conn)
	if !ok || recv == 0 && send == 0 {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil //nolint:nilerror // it is closed, and accept says so
	}
	_ = raw.Control(func(fd uintptr) { err = setBuffers(int(fd), recv, send) })
	return err
}

func setBuffers(fd, recv, send int) error {
	set := func(option, size int) error {
		if size == 0 {
			return nil
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, size)
	}
	err := set(unix.SO_RCVBUF, recv)
	if err == nil || optional(err) {
		err = set(unix.SO_SNDBUF, send)
	}
	if err == nil || optional(err) {
		return nil
	}
	return os.NewSyscallError("setsockopt", err)
}

// optional reports whether the socket does not know the option, or the descriptor is lost, which
// accept will report.
func optional(err error) bool {
	for _, errno := range [...]error{unix.EOPNOTSUPP, unix.ENOPROTOOPT, unix.EBADF, unix.ENOTSOCK} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

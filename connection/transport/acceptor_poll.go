//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Acceptor accepts from a listening socket in a PollSet, without a goroutine and without waiting.
type Acceptor struct {
	set      *PollSet
	fd       int
	local    net.Addr
	readable atomic.Bool
	notify   func()
}

// NewAcceptor watches l, a *net.TCPListener or *net.UnixListener, which stays its owner's and must outlive the acceptor. notify is
// called by the polling goroutine when there is something to accept; it must not wait.
func NewAcceptor(set *PollSet, l net.Listener, notify func()) (*Acceptor, error) {
	raw, ok := l.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("berth: a %T has no descriptor to poll", l)
	}
	conn, err := raw.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("berth: %w", err)
	}
	a := &Acceptor{set: set, local: l.Addr(), notify: notify}
	controlErr := conn.Control(func(fd uintptr) {
		a.fd = int(fd)
		a.readable.Store(true)
		err = set.addListener(a.fd, a)
	})
	if err == nil {
		err = controlErr
	}
	if err != nil {
		return nil, fmt.Errorf("berth: cannot poll the listening socket: %w", os.NewSyscallError("epoll_ctl", err))
	}
	return a, nil
}

// ready implements watcher.
func (a *Acceptor) ready(_, _, _ bool) {
	a.readable.Store(true)
	a.notify()
}

// Accept returns the next connection, ErrAgain if there is none: notify will be called. It is called on one goroutine at a time.
func (a *Acceptor) Accept() (*Poll, error) {
	if !a.readable.Load() {
		return nil, ErrAgain
	}
	a.readable.Store(false) // before the call: an event that comes during it must not be lost
	for {
		fd, remote, err := accept(a.fd)
		switch err {
		case nil:
			a.readable.Store(true)
			return NewPoll(a.set, fd, remote, a.local), nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return nil, ErrAgain
		default:
			a.readable.Store(true) // the client may still be there for the next try
			return nil, os.NewSyscallError("accept", err)
		}
	}
}

// Stop stops watching.
func (a *Acceptor) Stop() { a.set.forget(a.fd, a) }

// SocketOptions are set on the listening socket: accepted ones inherit them, so they cost no system call per connection.
type SocketOptions struct {
	NoDelay    bool
	KeepAlive  time.Duration // idle time and interval; 0: leave it to the system, negative: off
	RecvBuffer int           // bytes; 0: the kernel's choice
	SendBuffer int
}

// Tune sets options for the connections to come.
func (a *Acceptor) Tune(o SocketOptions) error {
	set := func(level, option, value int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(a.fd, level, option, value))
	}
	var err error
	if _, tcp := a.local.(*net.TCPAddr); tcp {
		noDelay, keep := 0, 1
		if o.NoDelay {
			noDelay = 1
		}
		if o.KeepAlive < 0 {
			keep = 0
		}
		err = errors.Join(
			set(unix.IPPROTO_TCP, unix.TCP_NODELAY, noDelay),
			set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, keep))
		if o.KeepAlive > 0 {
			err = errors.Join(err, keepAliveEvery(set, o.KeepAlive))
		}
	}
	if o.RecvBuffer > 0 {
		err = errors.Join(err, set(unix.SOL_SOCKET, unix.SO_RCVBUF, o.RecvBuffer))
	}
	if o.SendBuffer > 0 {
		err = errors.Join(err, set(unix.SOL_SOCKET, unix.SO_SNDBUF, o.SendBuffer))
	}
	return err
}

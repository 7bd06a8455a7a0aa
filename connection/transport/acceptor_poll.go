//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Acceptor accepts from a listening socket in a PollSet, without a goroutine and without waiting. It has a descriptor of its
// own for the socket, so several acceptors can share one. Any goroutine may call its methods.
type Acceptor struct {
	set      *PollSet
	local    net.Addr
	readable atomic.Bool
	notify   func()
	buffers  SocketOptions // of a unix socket's: its connections inherit nothing

	mu      sync.Mutex // held during system calls, so that the descriptor's number is nobody else's meanwhile
	fd      int        // -1: closed
	origins []*origin  // one for each poll set that connections went to
}

// NewAcceptor accepts from l's socket, a *net.TCPListener's or *net.UnixListener's, whether l is closed meanwhile or not. notify is
// called by the polling goroutine when there is something to accept; it must not wait.
func NewAcceptor(set *PollSet, l net.Listener, notify func()) (*Acceptor, error) {
	a := &Acceptor{set: set, fd: -1, local: l.Addr(), notify: notify}
	a.readable.Store(true)
	if err := a.duplicate(l); err != nil {
		return nil, fmt.Errorf("berth: cannot poll the listening socket: %w", err)
	}
	if err := set.addListener(a.fd, a); err != nil {
		closeFD(a.fd)
		return nil, fmt.Errorf("berth: cannot poll the listening socket: %w", err)
	}
	return a, nil
}

func (a *Acceptor) duplicate(l net.Listener) error {
	raw, ok := l.(syscall.Conn)
	if !ok {
		return fmt.Errorf("a %T has no descriptor", l)
	}
	conn, err := raw.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := conn.Control(func(fd uintptr) { a.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	return errors.Join(err, controlErr)
}

// ready implements watcher.
func (a *Acceptor) ready(_, _, _ bool) {
	a.readable.Store(true)
	a.notify()
}

// Look makes the next Accept ask the kernel, whatever events have come.
func (a *Acceptor) Look() { a.readable.Store(true) }

// Accept returns the next connection, in the poll set it is to live in; ErrAgain if there is none: notify will be called;
// net.ErrClosed after Close, or after an error that said that somebody else has closed the descriptor.
func (a *Acceptor) Accept(set *PollSet) (*Poll, error) {
	a.mu.Lock() // also around readable: who accepts beside another one must not take its question to the kernel for the answer
	defer a.mu.Unlock()
	if !a.readable.Load() {
		return nil, ErrAgain
	}
	a.readable.Store(false) // before the call: an event that comes during it must not be lost
	p, err := a.accept(set)
	switch {
	case err == nil:
		a.readable.Store(true)
		return p, nil
	case errors.Is(err, unix.EAGAIN):
		return nil, ErrAgain
	case errors.Is(err, net.ErrClosed):
		return nil, err
	default:
		a.readable.Store(true) // the client may still be there for the next try
		return nil, os.NewSyscallError("accept", err)
	}
}

func (a *Acceptor) accept(set *PollSet) (*Poll, error) {
	for a.fd >= 0 {
		fd, remote, err := accept(a.fd)
		switch {
		case err == nil:
			_ = setBuffers(fd, &a.buffers) // fails where the connection is gone already; reading will say so
			return newPoll(a.origin(set), fd, remote), nil
		case errors.Is(err, unix.EBADF), errors.Is(err, unix.ENOTSOCK):
			a.set.remove(a.fd, a) // somebody closed it for us: its number is no longer ours to close
			a.fd = -1
			return nil, err
		case !errors.Is(err, unix.EINTR):
			return nil, err
		}
	}
	return nil, net.ErrClosed
}

func (a *Acceptor) origin(set *PollSet) *origin {
	for _, o := range a.origins { // as many as there are crews
		if o.set == set {
			return o
		}
	}
	o := &origin{set: set, local: a.local}
	a.origins = append(a.origins, o)
	return o
}

// File returns a duplicate of the descriptor, non-blocking as it is, for another process.
func (a *Acceptor) File() (*os.File, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd < 0 {
		return nil, net.ErrClosed
	}
	fd, err := unix.FcntlInt(uintptr(a.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("berth: cannot duplicate the listening socket: %w", os.NewSyscallError("fcntl", err))
	}
	return os.NewFile(uintptr(fd), a.local.String()), nil
}

// Close stops watching and closes the descriptor. Closing twice is the same as closing once.
func (a *Acceptor) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd >= 0 {
		a.set.forget(a.fd, a)
		closeFD(a.fd)
		a.fd = -1
	}
}

// SocketOptions are set on the listening socket: accepted ones inherit them, so they cost no system call per connection. A unix
// listener's inherit nothing; the buffers are set on each.
type SocketOptions struct {
	NoDelay    bool
	KeepAlive  time.Duration // idle time and interval; 0: leave it to the system, negative: off
	RecvBuffer int           // bytes; 0: the kernel's choice
	SendBuffer int
}

// Tune sets options for the connections that are accepted from now on. After Close it does nothing.
func (a *Acceptor) Tune(o SocketOptions) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd < 0 {
		return nil
	}
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
	if _, local := a.local.(*net.UnixAddr); local {
		a.buffers = o
	}
	return errors.Join(err, setBuffers(a.fd, &o))
}

func setBuffers(fd int, o *SocketOptions) (err error) {
	if o.RecvBuffer > 0 {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, o.RecvBuffer)
	}
	if o.SendBuffer > 0 {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, o.SendBuffer))
	}
	return os.NewSyscallError("setsockopt", err)
}

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Acceptor accepts from a listening socket in a PollSet, without a goroutine and without waiting.
// It has a descriptor of its own for the socket, so several acceptors can share one. Any goroutine
// may call its methods.
type Acceptor struct {
	set      *PollSet
	local    net.Addr
	readable atomic.Bool
	notify   func()
	tcp      bool
	first    probes // before the first Tune

	mu      sync.Mutex // held during system calls, so that the descriptor's number is not reused meanwhile
	fd      int        // -1: closed
	options SocketOptions
	behind  bool // the backlog may hold connections from before the last Tune
	origins map[originKey]*origin
}

type originKey struct {
	set   *PollSet
	local netip.AddrPort // the zero value: as the listener's
}

// mostOrigins bounds the remembered origins: on a listener for all interfaces clients choose the
// local address, and a host may have very many. A connection beyond them has an origin of its own.
const mostOrigins = 64

// NewAcceptor accepts from l's socket, a *net.TCPListener's or *net.UnixListener's, whether l is
// closed meanwhile or not. notify is called by the polling goroutine when there is something to
// accept; it must not wait.
func NewAcceptor(set *PollSet, l net.Listener, notify func()) (*Acceptor, error) {
	a := &Acceptor{set: set, fd: -1, local: l.Addr(), notify: notify, origins: map[originKey]*origin{}}
	_, a.tcp = a.local.(*net.TCPAddr)
	a.readable.Store(true)
	if err := a.duplicate(l); err != nil {
		return nil, fmt.Errorf("berth: cannot poll the listening socket: %w", err)
	}
	a.first = probesOf(a.fd)
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
	fd, err := Duplicate(raw)
	if err == nil {
		a.fd = fd
	}
	return err
}

// ready implements watcher.
func (a *Acceptor) ready(readiness) {
	a.readable.Store(true)
	a.notify()
}

// Look makes the next Accept ask the kernel, even if no event has come.
func (a *Acceptor) Look() { a.readable.Store(true) }

// Rearm makes notify be called once more if there are clients left, behind all events of the set
// that are due already. Without it a loop that accepts until there is no client is ahead of all
// connections. It returns false after Close.
func (a *Acceptor) Rearm() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fd >= 0 && a.set.rearmListener(a.fd, a) == nil
}

// Accept returns the next connection and adds it to set. It returns ErrAgain if there is none; then
// notify will be called. It returns net.ErrClosed after Close, or after an error that said that
// other code has closed the descriptor.
func (a *Acceptor) Accept(set *PollSet) (*Poll, error) {
	a.mu.Lock() // also around readable: a second caller must not take the first one's question to the kernel for the answer
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
		a.behind = false
		return nil, ErrAgain
	case errors.Is(err, net.ErrClosed):
		return nil, err
	default:
		a.readable.Store(true) // the client may still be there for the next try
		return nil, a.opError(err)
	}
}

func (a *Acceptor) accept(set *PollSet) (*Poll, error) {
	for a.fd >= 0 {
		fd, from, err := accept(a.fd)
		switch {
		case err == nil:
			if !inherits || !a.tcp || a.behind {
				_ = a.options.tune(fd, a.tcp, a.first) // fails where the connection is gone already; reading will say so
			}
			return newPoll(a.origin(set, fd, from), fd, from.addr), nil
		case errors.Is(err, unix.EBADF), errors.Is(err, unix.ENOTSOCK):
			a.set.remove(a.fd, a) // other code closed it: its number is no longer ours to close
			a.fd = -1
			return nil, err
		case !errors.Is(err, unix.EINTR):
			return nil, err
		}
	}
	return nil, net.ErrClosed
}

func (a *Acceptor) origin(set *PollSet, fd int, from peer) *origin {
	if from.path != "" && from.path != unnamed.Name {
		return &origin{set: set, local: a.local, client: &net.UnixAddr{Name: from.path, Net: unnamed.Net}}
	}
	key := originKey{set: set}
	if a.tcp {
		key.local = localAddr(fd)
	}
	if o := a.origins[key]; o != nil {
		return o
	}
	o := &origin{set: set, local: a.local}
	if key.local.IsValid() {
		o.local = net.TCPAddrFromAddrPort(key.local)
	}
	if len(a.origins) < mostOrigins {
		a.origins[key] = o
	}
	return o
}

// opError wraps an errno of accept as package net does.
func (a *Acceptor) opError(errno error) error {
	return &net.OpError{Op: "accept", Net: a.local.Network(), Addr: a.local, Err: os.NewSyscallError(acceptCall, errno)}
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

// Tune sets options for the connections that are accepted from now on. The error is that of an
// impossible buffer size. After Close Tune does nothing.
func (a *Acceptor) Tune(o SocketOptions) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd < 0 {
		return nil
	}
	a.options, a.behind = o, true
	return o.tune(a.fd, a.tcp, a.first)
}

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
)

// PollSupported says whether this platform has the poll transport.
const PollSupported = true

// Poll is a Conn over a descriptor in a PollSet. It has no goroutine and, while it is idle, no
// buffer: an event only marks it and gives its actor a turn, and the actor's turn reads.
//
// Events are edge-triggered and registered once. So a caller that gets ErrAgain waits for the next
// event, and a caller that does not get it must go on: readable stays set until a read came back
// short, blocked is set before a write gives up.
//
// There is one for each connection: it is 64 bytes.
type Poll struct {
	origin    atomic.Pointer[origin]
	events    Events     // for those of a PollTLS put over it later, see covered
	remote    netip.Addr // invalid: a unix socket
	port      uint16     // the remote one
	unwatched uint16     // the errno with which the set did not take it; written by Open
	fd        int32
	lease     lease
	marks     atomic.Uint32
}

// Marks of a Poll.
const (
	readable uint32 = 1 << iota // a read may find something
	hangup                      // the peer's FIN or RST (or urgent bytes) was seen: a short read is not the end, read until it comes
	blocked                     // the writer waits for room
	finished                    // the peer's FIN was seen
	broken                      // an error was seen, its RST for example
	covered                     // StartTLS has put TLS over it: its origin is its own and has the PollTLS, which gets the events
)

// origin holds what connections to one address of a listening socket, in one poll set, have in
// common. A client of a unix socket with a name of its own has an origin of its own, and so has a
// connection after StartTLS.
type origin struct {
	set    *PollSet
	local  net.Addr
	client *net.UnixAddr // nil: without a name, or none of a unix socket
	upper  Events        // the PollTLS that StartTLS has put over the connection; nil: none
}

// peer is where a connection came from: an address, or the name of a unix socket.
type peer struct {
	addr netip.AddrPort
	path string
}

var _ Conn = (*Poll)(nil)

// newPoll makes a Conn of a connected, non-blocking descriptor, which belongs to it from now on.
func newPoll(o *origin, fd int, remote netip.AddrPort) *Poll {
	p := &Poll{fd: int32(fd), remote: remote.Addr(), port: remote.Port()}
	p.origin.Store(o)
	return p
}

func (p *Poll) marked(mark uint32) bool { return p.marks.Load()&mark != 0 }

// Open implements Conn.
func (p *Poll) Open(events Events) bool {
	p.events = events
	if !p.lease.take() {
		return true // aborted already: the first read says so
	}
	defer p.release()
	if err := p.origin.Load().set.add(int(p.fd), p); err != nil {
		// Out of memory or over max_user_watches. No event would ever come, so reading and writing
		// fail at once: silence would hold the connection for ever.
		errno := syscall.EIO
		_ = errors.As(err, &errno)
		p.unwatched = uint16(errno)
		p.marks.Or(readable)
		p.events.Readable(false)
	}
	return true
}

// Handshake implements Conn: there is none.
func (p *Poll) Handshake(*Input, int) error { return nil }

// ready implements watcher: it runs on the polling worker and must not wait.
func (p *Poll) ready(what readiness) {
	if what&(readyInput|readyHangup) != 0 {
		marks := readable
		if what&readyHangup != 0 {
			marks |= hangup
		}
		if what&readyFinished != 0 {
			marks |= finished
		}
		if what&readyBroken != 0 {
			marks |= broken
		}
		before := p.marks.Or(marks)
		p.receiver(before).Readable(false)
	}
	if what&(readyOutput|readyHangup) != 0 {
		p.announceRoom()
	}
}

// Hold implements Conn.
func (p *Poll) Hold(int) bool { return true }

// LookForEnd implements Conn.
func (p *Poll) LookForEnd() (finished, broken bool) { return false, false }

// TLS implements Conn: there is none.
func (p *Poll) TLS() *tls.ConnectionState { return nil }

// Control implements Conn.
func (p *Poll) Control(f func(fd uintptr)) bool {
	if !p.lease.take() {
		return false
	}
	defer p.release()
	f(uintptr(p.fd))
	return true
}

// Broken implements Conn.
func (p *Poll) Broken() bool {
	if !p.remote.IsValid() || !p.lease.take() {
		return false
	}
	defer p.release()
	return hungUp(int(p.fd))
}

// EndSeen implements Conn. The kernel tells an error once: it may have told a write.
func (p *Poll) EndSeen(bool) (bool, error) {
	marks := p.marks.Load()
	if marks&broken == 0 && p.unwatched == 0 {
		return marks&finished != 0, nil
	}
	if !p.lease.take() {
		return true, net.ErrClosed
	}
	defer p.release()
	if p.unwatched != 0 {
		return true, p.syscallError("poll", syscall.Errno(p.unwatched))
	}
	return true, p.syscallError("read", socketError(int(p.fd)))
}

// Unread implements Conn.
func (p *Poll) Unread() int {
	if !p.lease.take() {
		return 0
	}
	defer p.release()
	return unread(int(p.fd))
}

// Ready implements Conn.
func (p *Poll) Ready(int) bool { return p.marked(readable) }

// Growth implements Conn.
func (p *Poll) Growth(in *Input, room int) int { return in.SpaceGrowth(room) }

// Fill implements Conn: one read.
func (p *Poll) Fill(in *Input, room int) (int, error) {
	if !p.lease.take() {
		return 0, net.ErrClosed
	}
	defer p.release()
	if err := p.unreadable(); err != nil {
		return 0, err
	}
	space := in.Space(room)
	n, err := p.receive(space)
	in.Filled(n, space)
	return n, err
}

// unreadable returns why a read is of no use now, nil if it may find something. The lease must be
// held.
func (p *Poll) unreadable() error {
	switch {
	case p.unwatched != 0:
		return p.syscallError("poll", syscall.Errno(p.unwatched))
	case !p.marked(readable):
		return ErrAgain
	}
	return nil
}

// receive is one read into space. The lease must be held.
func (p *Poll) receive(space []byte) (int, error) {
	p.marks.And(^readable) // before the read: an event that comes during it must not be lost
	n, err := read(int(p.fd), space)
	switch {
	case n > 0:
		if n == len(space) || p.marked(hangup) {
			p.marks.Or(readable)
		}
		return n, nil
	case err == nil:
		p.marks.Or(readable) // the next read finds the end again
		return 0, io.EOF
	case errors.Is(err, ErrAgain):
		return 0, err
	default:
		p.marks.Or(readable)
		return 0, p.syscallError("read", err)
	}
}

// Writev implements Conn; it does not block.
func (p *Poll) Writev(bufs [][]byte) (int, error) {
	return p.attempt(func() (int, error) { return writev(int(p.fd), bufs) })
}

// Blocks implements Conn.
func (p *Poll) Blocks() bool { return false }

// SendFile implements Conn.
func (p *Poll) SendFile(f *os.File, offset, n int64) (int64, error) {
	if !sendsFiles {
		return 0, ErrNotSent
	}
	sent, err := p.attempt(func() (int, error) { return sendfile(int(p.fd), f, offset, int(min(n, math.MaxInt32))) })
	return int64(sent), err
}

// attempt writes. It sets blocked before the system call, not after a full buffer: the event may
// come in between.
func (p *Poll) attempt(write func() (int, error)) (int, error) {
	if !p.lease.take() {
		return 0, net.ErrClosed
	}
	defer p.release()
	if p.unwatched != 0 {
		return 0, p.syscallError("poll", syscall.Errno(p.unwatched))
	}
	p.marks.Or(blocked)
	n, err := write()
	if !errors.Is(err, ErrAgain) {
		p.marks.And(^blocked)
		if err != nil && !aboutFile(err) {
			err = p.syscallError("write", err)
		}
	}
	return n, err
}

// Progress implements Conn: every byte is counted when the call returns, and the calls do not
// block.
func (p *Poll) Progress() (read, written uint64) { return 0, 0 }

// Retry implements Conn.
func (p *Poll) Retry(bool) { p.announceRoom() }

// announceRoom lets a writer that waits go on, once.
func (p *Poll) announceRoom() {
	if !p.marked(blocked) {
		return
	}
	if before := p.marks.And(^blocked); before&blocked != 0 {
		p.receiver(before).Writable()
	}
}

// receiver returns what gets the events, as marks say. All marks are in one word: so an event that
// is not given to the PollTLS was marked before the PollTLS looks for marks.
func (p *Poll) receiver(marks uint32) Events {
	if marks&covered != 0 {
		return p.origin.Load().upper
	}
	return p.events
}

// opError wraps an error as package net does.
func (p *Poll) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: p.origin.Load().local.Network(), Source: p.LocalAddr(), Addr: p.RemoteAddr(), Err: err}
}

// syscallError is opError for an errno, of a system call of the same name.
func (p *Poll) syscallError(op string, errno error) error {
	return p.opError(op, os.NewSyscallError(op, errno))
}

// CloseNotify implements Conn: there is none.
func (p *Poll) CloseNotify() error { return nil }

// CloseWrite implements Conn.
func (p *Poll) CloseWrite() error {
	if !p.lease.take() {
		return net.ErrClosed
	}
	defer p.release()
	if err := shutdownWrite(int(p.fd)); err != nil {
		return p.opError("close", os.NewSyscallError("shutdown", err))
	}
	return nil
}

// Close implements Conn. The descriptor is free for others once the last call that uses it has
// returned.
func (p *Poll) Close() error {
	if p.lease.end() {
		p.closeNow()
	}
	return nil
}

// Abort implements Conn.
func (p *Poll) Abort() {
	if !p.lease.take() {
		return
	}
	resetOnClose(int(p.fd))
	_ = p.Close() // takes effect when the last lease of the descriptor is released, here or elsewhere
	p.release()
}

func (p *Poll) release() {
	if p.lease.give() {
		p.closeNow()
	}
}

func (p *Poll) closeNow() {
	p.origin.Load().set.remove(int(p.fd), p)
	closeFD(int(p.fd))
}

// LocalAddr implements Conn.
func (p *Poll) LocalAddr() net.Addr { return p.origin.Load().local }

// RemoteIP returns the IP address of RemoteAddr, the zero Addr for a unix socket. It is no
// IPv4-mapped one.
func (p *Poll) RemoteIP() netip.Addr { return p.remote.Unmap() }

// RemoteAddr implements Conn.
func (p *Poll) RemoteAddr() net.Addr {
	if p.remote.IsValid() {
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.remote, p.port))
	}
	if p.origin.Load().client != nil {
		return p.origin.Load().client
	}
	addr := unnamed
	return &addr
}

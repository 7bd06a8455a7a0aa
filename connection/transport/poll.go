//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
)

// PollSupported says whether this platform has the poll transport.
const PollSupported = true

// Poll is a Conn over a descriptor in a PollSet. It has no goroutine and, while it is idle, no buffer: an event only marks
// it and gives its actor a turn, and the actor's turn reads.
//
// Events are edge-triggered and registered once. So whoever meets "not now" waits for the next event, and whoever does not
// meet it must go on: readable stays set until a read came back short, blocked is set before a write gives up.
type Poll struct {
	set    *PollSet
	events Events
	fd     int
	lease  lease
	remote netip.AddrPort
	local  net.Addr // the listener's, until the socket is asked

	unwatched error // why the set did not take it; written by Open

	readable atomic.Bool // a read may find something
	hangup   atomic.Bool // the peer's FIN or RST (or urgent bytes) was seen: a short read is not the end, read until it comes
	blocked  atomic.Bool // the writer waits for room
}

var _ Conn = (*Poll)(nil)

// NewPoll makes a Conn of a connected, non-blocking descriptor, which belongs to it from now on. local is the listener's address.
func NewPoll(set *PollSet, fd int, remote netip.AddrPort, local net.Addr) *Poll {
	return &Poll{set: set, fd: fd, remote: remote, local: local}
}

// Open implements Conn.
func (p *Poll) Open(events Events) bool {
	p.events = events
	if !p.lease.take() {
		return true // aborted already: the first read says so
	}
	defer p.release()
	if err := p.set.add(p.fd, p); err != nil {
		// Out of memory or over max_user_watches. No event would ever come, so reading and writing fail at once: silence
		// would hold the connection for ever.
		p.unwatched = p.opError("poll", err)
		p.readable.Store(true)
		p.events.Readable(false)
	}
	return true
}

// ready implements watcher: it runs on the polling worker and must not wait.
func (p *Poll) ready(input, output, hangup bool) {
	if hangup {
		p.hangup.Store(true)
	}
	if input || hangup {
		p.readable.Store(true)
		p.events.Readable(false)
	}
	if (output || hangup) && p.blocked.Load() && p.blocked.Swap(false) {
		p.events.Writable()
	}
}

// Ready implements Conn.
func (p *Poll) Ready(int) bool { return p.readable.Load() }

// Fill implements Conn: one read.
func (p *Poll) Fill(in *Input, room int) (int, error) {
	if !p.lease.take() {
		return 0, net.ErrClosed
	}
	defer p.release()
	if p.unwatched != nil {
		return 0, p.unwatched
	}
	if !p.readable.Load() {
		return 0, ErrAgain
	}
	space := in.Space(room)
	p.readable.Store(false) // before the read: an event that comes during it must not be lost
	n, err := read(p.fd, space)
	in.Filled(max(n, 0), space)
	switch {
	case n > 0:
		if n == len(space) || p.hangup.Load() {
			p.readable.Store(true)
		}
		return n, nil
	case err == nil:
		p.readable.Store(true) // the end is there for whoever asks again
		return 0, io.EOF
	case errors.Is(err, ErrAgain):
		return 0, err
	default:
		p.readable.Store(true)
		return 0, p.opError("read", err)
	}
}

// Writev implements Conn; it does not block.
func (p *Poll) Writev(bufs [][]byte) (int, error) {
	return p.attempt(func() (int, error) { return writev(p.fd, bufs) })
}

// SendFile implements Conn.
func (p *Poll) SendFile(f *os.File, n int64) (int64, error) {
	sent, err := p.attempt(func() (int, error) {
		sent, err := sendfile(p.fd, f, int(min(n, math.MaxInt32)))
		if sent == 0 && err == nil && n > 0 {
			err = io.ErrUnexpectedEOF
		}
		return sent, err
	})
	return int64(sent), err
}

// attempt writes. That it waits is announced before, not after it met a full buffer: the event may come in between.
func (p *Poll) attempt(write func() (int, error)) (int, error) {
	if !p.lease.take() {
		return 0, net.ErrClosed
	}
	defer p.release()
	if p.unwatched != nil {
		return 0, p.unwatched
	}
	p.blocked.Store(true)
	n, err := write()
	if !errors.Is(err, ErrAgain) {
		p.blocked.Store(false)
		if err != nil {
			err = p.opError("write", err)
		}
	}
	return n, err
}

// opError gives an errno the form that package net gives it.
func (p *Poll) opError(op string, errno error) error {
	return &net.OpError{
		Op: op, Net: p.local.Network(), Source: p.local, Addr: p.RemoteAddr(),
		Err: os.NewSyscallError(op, errno),
	}
}

// CloseWrite implements Conn.
func (p *Poll) CloseWrite() error {
	if !p.lease.take() {
		return net.ErrClosed
	}
	defer p.release()
	return shutdownWrite(p.fd)
}

// Close implements Conn. The descriptor is free for others once the last call that uses it has returned.
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
	resetOnClose(p.fd)
	_ = p.Close() // which happens when we, or whoever uses the descriptor longer, release it
	p.release()
}

func (p *Poll) release() {
	if p.lease.give() {
		p.closeNow()
	}
}

func (p *Poll) closeNow() {
	p.set.remove(p.fd, p)
	closeFD(p.fd)
}

// LocalAddr implements Conn. After the end of a connection to a listener on all interfaces it is the listener's.
func (p *Poll) LocalAddr() net.Addr {
	tcp, ok := p.local.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() || !p.lease.take() {
		return p.local
	}
	defer p.release()
	if addr := localAddr(p.fd); addr.IsValid() {
		return net.TCPAddrFromAddrPort(addr)
	}
	return p.local
}

// RemoteAddr implements Conn.
func (p *Poll) RemoteAddr() net.Addr {
	if p.remote.IsValid() {
		return net.TCPAddrFromAddrPort(p.remote)
	}
	return &net.UnixAddr{Net: "unix"}
}

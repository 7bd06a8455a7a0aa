//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

// announced notes what a Poll announces, each kind at most once until it is taken.
type announced struct {
	readable, writable           chan struct{}
	readableCount, writableCount atomic.Int64
}

func newAnnounced() *announced {
	return &announced{readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
}

func (a *announced) Readable(lent bool) {
	if lent {
		panic("the polling goroutine has other things to do")
	}
	a.readableCount.Add(1)
	note(a.readable)
}

func (a *announced) Writable() {
	a.writableCount.Add(1)
	note(a.writable)
}

func (a *announced) Full() { panic("a Poll does not block") }

func note(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// harbour is a poll set, a goroutine that polls it, and a listening socket in it.
type harbour struct {
	t       *testing.T
	set     *transport.PollSet
	socket  *transport.Acceptor
	addr    net.Addr
	arrived chan struct{}
}

// newHarbour listens on tcp4, tcp6 or unix. Everything ends with the test.
func newHarbour(t *testing.T, network, addr string, options transport.SocketOptions) *harbour {
	t.Helper()
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "socket")
	}
	l, err := net.Listen(network, addr)
	if err != nil && network == "tcp6" {
		t.Skip("no IPv6 here: ", err)
	}
	require.NoError(t, err)
	set, err := transport.NewPollSet()
	require.NoError(t, err)
	h := &harbour{t: t, set: set, addr: l.Addr(), arrived: make(chan struct{}, 1)}
	h.socket, err = transport.NewAcceptor(set, l, func() { note(h.arrived) })
	require.NoError(t, err)
	require.NoError(t, h.socket.Tune(options))
	var stopped atomic.Bool
	joined := make(chan struct{})
	go func() {
		defer close(joined)
		for !stopped.Load() {
			set.Dispatch(set.Wait(true))
		}
	}()
	t.Cleanup(func() {
		stopped.Store(true)
		set.Wake()
		<-joined
		h.socket.Close()
		set.Close()
	})
	return h
}

// accept returns both ends of a new connection; ours is not open yet.
func (h *harbour) accept() (*transport.Poll, net.Conn) {
	h.t.Helper()
	peer, err := net.Dial(h.addr.Network(), h.addr.String())
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = peer.Close() })
	_ = peer.SetDeadline(time.Now().Add(patience))
	for {
		p, err := h.socket.Accept(h.set)
		if err == nil {
			h.t.Cleanup(func() { _ = p.Close() })
			return p, peer
		}
		require.ErrorIs(h.t, err, transport.ErrAgain)
		receive(h.t, h.arrived)
	}
}

// connect returns both ends of a new connection.
func (h *harbour) connect() (*transport.Poll, *announced, net.Conn) {
	h.t.Helper()
	p, peer := h.accept()
	a := newAnnounced()
	require.True(h.t, p.Open(a))
	return p, a, peer
}

// overPoll runs a test over each kind of socket.
func overPoll(t *testing.T, options transport.SocketOptions, test func(t *testing.T, h *harbour)) {
	for network, addr := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": ""} {
		t.Run(network, func(t *testing.T) { test(t, newHarbour(t, network, addr, options)) })
	}
}

// take calls Fill until something comes, and returns it, or the error that ends the input.
func take(t *testing.T, p transport.Conn, a *announced, room int) ([]byte, error) {
	t.Helper()
	var in transport.Input
	defer in.Release()
	for {
		n, err := p.Fill(&in, room)
		if n > 0 {
			require.NoError(t, err)
			require.Equal(t, n, in.Len())
			return append([]byte(nil), in.Bytes()...), nil
		}
		if err != nil && err != transport.ErrAgain {
			return nil, err
		}
		if !p.Ready(room) {
			receive(t, a.readable)
		}
	}
}

// takeAll fills until the end.
func takeAll(t *testing.T, p transport.Conn, a *announced, room func() int) ([]byte, error) {
	t.Helper()
	var all []byte
	for {
		some, err := take(t, p, a, room())
		if err != nil {
			return all, err
		}
		all = append(all, some...)
	}
}

// bring writes all of it, waiting where the kernel takes no more, and returns how often that was.
func bring(t *testing.T, p transport.Conn, a *announced, bufs ...[]byte) (waits int) {
	t.Helper()
	for len(bufs) > 0 {
		n, err := p.Writev(bufs)
		if err != nil {
			require.ErrorIs(t, err, transport.ErrAgain)
		}
		for len(bufs) > 0 && n >= len(bufs[0]) {
			n -= len(bufs[0])
			bufs = bufs[1:]
		}
		if len(bufs) > 0 {
			bufs[0] = bufs[0][n:]
		}
		if err != nil {
			receive(t, a.writable)
			waits++
		}
	}
	return waits
}

// text is n bytes that are the same for the same seed, and nowhere repeat themselves.
func text(n int, seed uint64) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(p)
	return p
}

// readAll reads a peer's connection up to the end.
func readAll(c net.Conn) <-chan []byte {
	all := make(chan []byte, 1)
	go func() {
		p, _ := io.ReadAll(c)
		all <- p
	}()
	return all
}

// same compares without printing a megabyte.
func same(t *testing.T, want, got []byte) {
	t.Helper()
	require.Len(t, got, len(want))
	assert.True(t, bytes.Equal(want, got), "other bytes than were sent")
}

package transport_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/test/simnet"
)

// shy is a connection with a handshake that ends when told, or when the connection is closed.
type shy struct {
	net.Conn
	result chan error
	closed chan struct{}
}

func newShy(conn net.Conn) *shy {
	return &shy{Conn: conn, result: make(chan error), closed: make(chan struct{})}
}

func (s *shy) HandshakeContext(context.Context) error {
	select {
	case err := <-s.result:
		return err
	case <-s.closed:
		return net.ErrClosed
	}
}

func (s *shy) Close() error {
	close(s.closed)
	return s.Conn.Close()
}

func TestAHandshakeIsAnnouncedAndThenThereIsInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := simnet.Pipe(simnet.Options{})
		conn := newShy(ours)
		var joined sync.WaitGroup
		s, e := transport.NewStream(conn, &joined), newEvents()
		require.False(t, s.Open(e), "not yet")
		var in transport.Input
		for range 3 {
			require.Equal(t, transport.ErrAgain, s.Handshake(&in, 100))
		}
		synctest.Wait()
		assert.Empty(t, e.readable)
		conn.result <- nil
		synctest.Wait()
		assert.Len(t, e.readable, 1, "asked for once")
		require.NoError(t, s.Handshake(&in, 100))
		<-e.readable

		_, _ = peer.Write([]byte("hello"))
		_, err := fill(t, s, e, &in, 100)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(in.Bytes()))
		in.Release()
		_ = s.Close()
		joined.Wait()
		_ = peer.Close()
	})
}

func TestAHandshakeThatFailsEndsTheReader(t *testing.T) {
	ours, peer := net.Pipe()
	defer peer.Close()
	conn := newShy(ours)
	var joined sync.WaitGroup
	s, e := transport.NewStream(conn, &joined), newEvents()
	s.Open(e)
	refused := errors.New("refused")
	go func() { conn.result <- refused }()
	var in transport.Input
	require.Equal(t, refused, shakeHands(t, s, e.readable, &in, 100))
	joined.Wait()
	_, err := s.Fill(&in, 100)
	require.Equal(t, refused, err, "and there will never be input")
	_ = s.Close()
}

func TestAHandshakeThatPanicsIsOneThatFails(t *testing.T) {
	ours, peer := net.Pipe()
	defer peer.Close()
	s, e := transport.NewStream(panicking{ours}, nil), newEvents()
	s.Open(e)
	var in transport.Input
	require.EqualError(t, shakeHands(t, s, e.readable, &in, 100), "handshake panicked: a callback's")
	_ = s.Close()
}

type panicking struct{ net.Conn }

func (panicking) HandshakeContext(context.Context) error { panic("a callback's") }

// A header may be read before Handshake is called; a tls.Conn would then shake hands within Read,
// and its callbacks' panics would not be caught.
func TestAReadBeforeTheHandshakeIsGuardedAsTheHandshakeIs(t *testing.T) {
	ours, peer := net.Pipe()
	defer peer.Close()
	s, e := transport.NewStream(panicking{ours}, nil), newEvents()
	s.Open(e)
	var in transport.Input
	_, err := fill(t, s, e, &in, 100)
	require.EqualError(t, err, "handshake panicked: a callback's")
	_ = s.Close()
}

func TestAbortEndsAHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		conn := newShy(ours)
		var joined sync.WaitGroup
		s, e := transport.NewStream(conn, &joined), newEvents()
		s.Open(e)
		var in transport.Input
		require.Equal(t, transport.ErrAgain, s.Handshake(&in, 100))
		synctest.Wait() // it has begun
		s.Abort()
		joined.Wait()
		require.ErrorIs(t, s.Handshake(&in, 100), net.ErrClosed)
		_ = peer.Close()
	})
}

func TestAbortBeforeOpenLeavesNoReader(t *testing.T) {
	ours, peer := net.Pipe()
	defer peer.Close()
	var joined sync.WaitGroup
	s := transport.NewStream(ours, &joined)
	s.Abort()
	s.Open(newEvents())
	joined.Wait()
}

// A tls.Conn's Close first tries to send closeNotify, for up to 5 s. A peer that does not read
// would delay an abort that long.
func TestAbortSetsADeadlineBeforeItCloses(t *testing.T) {
	ours, peer := net.Pipe()
	defer peer.Close()
	slow := &slowClose{Conn: ours}
	transport.NewStream(slow, nil).Abort()
	assert.True(t, slow.deadline.Before(time.Now()) && !slow.deadline.IsZero())
	assert.Equal(t, []string{"deadline", "close"}, slow.calls)
}

type slowClose struct {
	net.Conn
	deadline time.Time
	calls    []string
}

func (c *slowClose) SetDeadline(t time.Time) error {
	c.deadline = t
	c.calls = append(c.calls, "deadline")
	return c.Conn.SetDeadline(t)
}

func (c *slowClose) Close() error {
	c.calls = append(c.calls, "close")
	return c.Conn.Close()
}

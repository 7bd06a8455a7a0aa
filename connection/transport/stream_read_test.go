package transport_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/test/simnet"
)

func TestFillGivesTheBytesInOrderAndThenTheEnd(t *testing.T) {
	overEach(t, func(t *testing.T, s *transport.Stream, e *events, peer net.Conn) {
		const text = "what the peer wrote, in pieces"
		go func() {
			for _, b := range []byte(text) {
				_, _ = peer.Write([]byte{b})
			}
			_ = peer.Close()
		}()
		var in transport.Input
		for {
			n, err := fill(t, s, e, &in, 7)
			assert.LessOrEqual(t, n, 7)
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				break
			}
		}
		assert.Equal(t, text, string(in.Bytes()))
		in.Release()
		_, err := s.Fill(&in, 7)
		require.ErrorIs(t, err, io.EOF, "the end stays the end")
		assert.True(t, s.Ready(7))
	})
}

func TestReadyAnnouncesOnceWhatItCouldNotGive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := simnet.Pipe(simnet.Options{})
		s, e := transport.NewStream(ours, nil), newEvents()
		require.True(t, s.Open(e))
		for range 3 {
			assert.False(t, s.Ready(100))
		}
		var in transport.Input
		_, err := s.Fill(&in, 100)
		require.Equal(t, transport.ErrAgain, err)
		synctest.Wait()
		assert.Empty(t, e.readable)

		_, _ = peer.Write([]byte("bytes"))
		synctest.Wait()
		assert.Len(t, e.readable, 1)
		assert.True(t, s.Ready(100))
		n, err := s.Fill(&in, 100)
		require.NoError(t, err)
		assert.Equal(t, "bytes", string(in.Bytes()))
		assert.Equal(t, 5, n)

		_, _ = peer.Write([]byte("more"))
		synctest.Wait()
		assert.Len(t, e.readable, 1, "no read was asked for")
		in.Release()
		_ = peer.Close()
		_ = s.Close()
	})
}

// Strict pause rests on a demand of one: bytes that are not asked for stay with the kernel.
func TestNothingIsReadThatWasNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := &counted{reads: make(chan int, 100)}
		var joined sync.WaitGroup
		s := transport.NewStream(reads, &joined)
		s.Open(newEvents())
		synctest.Wait()
		assert.Empty(t, reads.reads)
		s.Ready(11)
		s.Ready(11)
		synctest.Wait()
		require.Len(t, reads.reads, 1)
		assert.Equal(t, 11, <-reads.reads, "and no more than there is room for")
		s.Ready(11)
		synctest.Wait()
		assert.Empty(t, reads.reads, "the answer has not been fetched")
		var in transport.Input
		_, _ = s.Fill(&in, 11)
		s.Ready(20)
		synctest.Wait()
		assert.Len(t, reads.reads, 1)
		_ = s.Close()
		joined.Wait()
		in.Release()
	})
}

// counted is a connection with endless input that reports its reads.
type counted struct {
	net.Conn
	reads chan int
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads <- len(p)
	return len(p), nil
}

func (c *counted) Close() error { return nil }

func TestWhatCameBeforeAnErrorIsReturnedFirst(t *testing.T) {
	broken := errors.New("broken")
	s, e := transport.NewStream(&faulty{text: "abc", err: broken}, nil), newEvents()
	s.Open(e)
	var in transport.Input
	n, err := fill(t, s, e, &in, 10)
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	assert.Equal(t, "abc", string(in.Bytes()))
	for range 3 {
		n, err = s.Fill(&in, 10)
		assert.Zero(t, n)
		require.Equal(t, broken, err)
	}
	assert.Equal(t, "abc", string(in.Bytes()))
	in.Release()
}

// faulty reads text together with err.
type faulty struct {
	net.Conn
	text string
	err  error
}

func (c *faulty) Read(p []byte) (int, error) { return copy(p, c.text), c.err }
func (c *faulty) Close() error               { return nil }

func TestAReadOfNothingIsNeitherInputNorTheEnd(t *testing.T) {
	s, e := transport.NewStream(&faulty{}, nil), newEvents()
	s.Open(e)
	var in transport.Input
	for range 3 {
		n, err := fill(t, s, e, &in, 10)
		require.NoError(t, err)
		assert.Zero(t, n)
	}
	_ = s.Close() // the reader waits for the next question
}

func TestAResetIsToldAfterTheBytesBeforeIt(t *testing.T) {
	ours, peer := tcpPair(t)
	s, e := transport.NewStream(ours, nil), newEvents()
	s.Open(e)
	defer s.Close()
	_, err := peer.Write([]byte("last words"))
	require.NoError(t, err)
	var in transport.Input
	_, err = fill(t, s, e, &in, 100)
	require.NoError(t, err)
	require.NoError(t, peer.(*net.TCPConn).SetLinger(0))
	require.NoError(t, peer.Close())
	_, err = fill(t, s, e, &in, 100)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	assert.True(t, transport.IsReset(err))
	assert.Equal(t, "last words", string(in.Bytes()))
	in.Release()
}

func TestOnlyWhatEndsAConnectionFromTheOtherSideIsAReset(t *testing.T) {
	for _, err := range []error{syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ENOTCONN} {
		assert.True(t, transport.IsReset(&net.OpError{Op: "read", Err: err}), err)
	}
	for _, err := range []error{nil, io.EOF, net.ErrClosed, syscall.ETIMEDOUT} {
		assert.False(t, transport.IsReset(err), err)
	}
}

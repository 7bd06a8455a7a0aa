package transport_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/test/faultnet"
	"github.com/go-berth/berth/test/simnet"
)

func TestWritevBringsOutEveryBufferInOrder(t *testing.T) {
	overEach(t, func(t *testing.T, s *transport.Stream, _ *events, peer net.Conn) {
		big := bytes.Repeat([]byte("0123456789"), 10_000)
		bufs := [][]byte{[]byte("a"), big, nil, []byte("b"), []byte("c"), big}
		want := bytes.Join(bufs, nil)
		read := make(chan []byte)
		go func() {
			all := make([]byte, len(want))
			_, _ = io.ReadFull(peer, all)
			read <- all
		}()
		n, err := s.Writev(bufs)
		require.NoError(t, err)
		assert.Equal(t, len(want), n)
		assert.True(t, bytes.Equal(want, receive(t, read)))
	})
}

// A net.Conn that takes less than it was given and says nothing of it keeps no promise. What went out is counted all the same, and nothing is skipped.
func TestAWriteThatIsShortWithoutAnErrorEndsTheWritev(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789"), 2000)
	for _, bufs := range [][][]byte{{big}, {big, big}, {[]byte("ab"), big}, {big, []byte("ab")}, {[]byte("ab"), []byte("cd")}} {
		outside, peer := simnet.Pipe(simnet.Options{})
		s := transport.NewStream(faultnet.NewConn(outside, faultnet.Script{Writes: []faultnet.Step{{Most: 1}}}), nil)
		n, err := s.Writev(bufs)
		assert.Equal(t, io.ErrShortWrite, err)
		assert.Equal(t, 1, n)
		require.NoError(t, s.Close())
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		assert.Len(t, got, 1)
		require.NoError(t, peer.Close())
	}
}

func TestAbortFreesABlockedWritev(t *testing.T) {
	overEach(t, func(t *testing.T, s *transport.Stream, _ *events, _ net.Conn) {
		ended := make(chan error)
		go func() {
			for {
				if _, err := s.Writev([][]byte{make([]byte, 64<<10), make([]byte, 64<<10)}); err != nil {
					ended <- err
					return
				}
			}
		}()
		select {
		case err := <-ended:
			require.Fail(t, "nobody reads, and yet", "%v", err)
		default:
		}
		s.Abort()
		require.Error(t, receive(t, ended))
	})
}

func TestAbortFreesTheReader(t *testing.T) {
	overEach(t, func(_ *testing.T, s *transport.Stream, _ *events, _ net.Conn) {
		s.Ready(10)
		s.Abort() // and overEach joins it
	})
}

func TestAbortResetsThePeer(t *testing.T) {
	overEach(t, func(t *testing.T, s *transport.Stream, _ *events, peer net.Conn) {
		s.Abort()
		s.Abort()
		require.NoError(t, s.Close())
		_, err := peer.Read(make([]byte, 1))
		if _, pipe := peer.(interface{ SetLinger(int) error }); pipe {
			assert.True(t, transport.IsReset(err), "%v", err)
		} else {
			assert.Equal(t, io.EOF, err, "all that a net.Pipe knows")
		}
	})
}

func TestCloseWriteEndsOneDirection(t *testing.T) {
	overEach(t, func(t *testing.T, s *transport.Stream, e *events, peer net.Conn) {
		err := s.CloseWrite()
		if _, half := peer.(interface{ CloseWrite() error }); !half {
			assert.Equal(t, transport.ErrNoHalfClose, err)
			return
		}
		require.NoError(t, err)
		_, err = peer.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
		_, err = peer.Write([]byte("still heard"))
		require.NoError(t, err)
		var in transport.Input
		_, err = fill(t, s, e, &in, 100)
		require.NoError(t, err)
		assert.Equal(t, "still heard", string(in.Bytes()))
		in.Release()
	})
}

func TestSendFileSendsWhatWasAskedForOrSaysThatTheFileIsShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("0123456789"), 0o600))
	overEach(t, func(t *testing.T, s *transport.Stream, _ *events, peer net.Conn) {
		f, err := os.Open(path)
		require.NoError(t, err)
		defer f.Close()
		read := make(chan string)
		go func() {
			p := make([]byte, 10)
			n, _ := io.ReadFull(peer, p)
			read <- string(p[:n])
		}()
		n, err := s.SendFile(f, 4)
		require.NoError(t, err)
		assert.EqualValues(t, 4, n)
		n, err = s.SendFile(f, 100)
		assert.EqualValues(t, 6, n)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Equal(t, "0123456789", receive(t, read))
	})
}

// journal is a connection without writev that keeps what each Write brought, and fails after some.
type journal struct {
	net.Conn
	writes [][]byte
	left   int // bytes it takes before it fails; negative: all
}

var errFull = errors.New("full")

func (j *journal) Write(p []byte) (int, error) {
	n := len(p)
	if j.left >= 0 {
		n = min(n, j.left)
		j.left -= n
	}
	j.writes = append(j.writes, bytes.Clone(p[:n]))
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

func TestSmallBuffersBecomeOneWriteWhereThereIsNoWritev(t *testing.T) {
	j := &journal{left: -1}
	s := transport.NewStream(j, nil)
	n, err := s.Writev([][]byte{[]byte("one "), []byte("TLS "), []byte("record")})
	require.NoError(t, err)
	assert.Equal(t, 14, n)
	assert.Equal(t, [][]byte{[]byte("one TLS record")}, j.writes)
}

func TestJoinedWritesAreTheBuffersInOrderUpToTheError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 40<<10)), 1, 10).Draw(t, "sizes")
		var bufs [][]byte
		next := byte(0)
		for _, size := range sizes {
			p := make([]byte, size)
			for i := range p {
				p[i] = next
				next++
			}
			bufs = append(bufs, p)
		}
		want := bytes.Join(bufs, nil)
		j := &journal{left: rapid.OneOf(rapid.Just(-1), rapid.IntRange(0, len(want))).Draw(t, "left")}
		fails := j.left >= 0 && j.left < len(want)
		if fails {
			want = want[:j.left]
		}
		n, err := transport.NewStream(j, nil).Writev(bufs)
		require.Equal(t, len(want), n)
		require.True(t, bytes.Equal(want, bytes.Join(j.writes, nil)))
		if fails {
			require.Equal(t, errFull, err)
		} else {
			require.NoError(t, err)
		}
	})
}

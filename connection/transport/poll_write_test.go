//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport_test

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

// narrow sockets are full soon.
var narrow = transport.SocketOptions{NoDelay: true, SendBuffer: 4 << 10, RecvBuffer: 4 << 10}

func TestAPolledWriteThatTheKernelTookInPartGoesOnWhereItStopped(t *testing.T) {
	overPoll(t, narrow, func(t *testing.T, h *harbour) {
		p, a, peer := h.connect()
		sent := text(1<<20, 3)
		var bufs [][]byte
		random := rand.New(rand.NewPCG(1, 1))
		for rest := sent; len(rest) > 0; {
			n := min(random.IntN(5000), len(rest)) // also none at all
			bufs = append(bufs, append([]byte(nil), rest[:n]...))
			rest = rest[n:]
		}
		n, err := p.Writev(bufs)
		require.ErrorIs(t, err, transport.ErrAgain)
		require.Positive(t, n)
		require.Less(t, n, len(sent)/2, "in part")
		again, err := p.Writev([][]byte{sent[n:]})
		require.ErrorIs(t, err, transport.ErrAgain)
		n += again
		all := readAll(peer)
		receive(t, a.writable)
		assert.Positive(t, bring(t, p, a, sent[n:]))
		require.NoError(t, p.CloseWrite())
		same(t, sent, receive(t, all))
	})
}

// Linux announces room when a third of the send buffer is free: with a slow peer that can take
// longer than a limit of time.
func TestRetryFindsRoomThatTheKernelHasNotAnnouncedToThePoller(t *testing.T) {
	h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{})
	p, a, peer := h.connect()
	require.NoError(t, peer.(*net.TCPConn).SetReadBuffer(64<<10))
	p.Retry(false)
	assert.Zero(t, a.writableCount.Load(), "nothing waits")
	var err error
	for much := make([]byte, 1<<20); err == nil; {
		_, err = p.Writev([][]byte{much})
	}
	require.ErrorIs(t, err, transport.ErrAgain)
	_, err = io.ReadFull(peer, make([]byte, 256<<10))
	require.NoError(t, err)
	for n, stop := 0, time.Now().Add(patience); n == 0; runtime.Gosched() {
		require.True(t, time.Now().Before(stop), "no byte was taken")
		p.Retry(false)
		receive(t, a.writable)
		n, err = p.Writev([][]byte{{1}})
		if err != nil {
			require.ErrorIs(t, err, transport.ErrAgain)
		}
	}
}

func TestAConnectionThatNeverBlockedAnnouncesNothingWritable(t *testing.T) {
	overPoll(t, transport.SocketOptions{}, func(t *testing.T, h *harbour) {
		p, a, peer := h.connect()
		for range 100 {
			n, err := p.Writev([][]byte{[]byte("he"), nil, []byte("llo")})
			require.NoError(t, err)
			require.Equal(t, 5, n)
			_, err = io.ReadFull(peer, make([]byte, 5))
			require.NoError(t, err)
		}
		n, err := p.Writev([][]byte{nil, {}})
		require.NoError(t, err)
		assert.Zero(t, n)
		before := a.writableCount.Load() // room that came free may have met a write, which did not need it
		for range 20 {
			_, err = peer.Write([]byte("x"))
			require.NoError(t, err)
			_, err = take(t, p, a, 10)
			require.NoError(t, err)
		}
		assert.Equal(t, before, a.writableCount.Load())
	})
}

// The room may come between the kernel's refusal and the wait for room. If that event were lost,
// the connection would never write again.
func TestInAStormOfFullBuffersNoRoomIsMissed(t *testing.T) {
	overPoll(t, narrow, func(t *testing.T, h *harbour) {
		p, a, peer := h.connect()
		sent := text(3<<20, 4)
		all := make(chan []byte, 1)
		go func() {
			got := make([]byte, 0, len(sent))
			random := rand.New(rand.NewPCG(5, 6))
			buf := make([]byte, 16<<10)
			for {
				n, err := peer.Read(buf[:1+random.IntN(len(buf))])
				got = append(got, buf[:n]...)
				if err != nil {
					all <- got
					return
				}
			}
		}()
		random, waits := rand.New(rand.NewPCG(7, 8)), 0
		for rest := sent; len(rest) > 0; {
			n := min(1+random.IntN(20000), len(rest))
			waits += bring(t, p, a, rest[:n/2], rest[n/2:n])
			rest = rest[n:]
		}
		require.NoError(t, p.CloseWrite())
		same(t, sent, receive(t, all))
		assert.Greater(t, waits, 10, "the buffers were never full: this shows nothing")
	})
}

func TestAWriterThatWaitsForRoomIsToldOfTheReset(t *testing.T) {
	h := newHarbour(t, "tcp4", "127.0.0.1:0", narrow)
	p, a, peer := h.connect()
	much := [][]byte{make([]byte, 8<<20)}
	var err error
	for err == nil {
		_, err = p.Writev(much)
	}
	require.ErrorIs(t, err, transport.ErrAgain)
	require.NoError(t, peer.(*net.TCPConn).SetLinger(0))
	require.NoError(t, peer.Close())
	receive(t, a.writable)
	_, err = p.Writev(much)
	require.True(t, transport.IsReset(err), "%v", err)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	assert.Equal(t, "write", op.Op)
}

func TestAPartOfAFileIsSentAndItsPositionStays(t *testing.T) {
	content := text(1<<20, 5)
	overPoll(t, narrow, func(t *testing.T, h *harbour) {
		p, a, peer := h.connect()
		f := fileOf(t, content)
		_, err := f.Seek(7, io.SeekStart)
		require.NoError(t, err)
		var all <-chan []byte // the peer begins to read when there is no more room
		at, end, waits := int64(1000), int64(len(content)-2000), 0
		for at < end {
			n, err := p.SendFile(f, at, end-at)
			if err == transport.ErrNotSent {
				t.Skip("this system sends no files")
			}
			at += n
			if err != nil {
				require.ErrorIs(t, err, transport.ErrAgain)
				if waits == 0 {
					all = readAll(peer)
				}
				receive(t, a.writable)
				waits++
			}
		}
		require.Positive(t, waits)
		position, err := f.Seek(0, io.SeekCurrent)
		require.NoError(t, err)
		assert.EqualValues(t, 7, position)
		bring(t, p, a, []byte("the end"))
		require.NoError(t, p.CloseWrite())
		same(t, append(content[1000:end:end], "the end"...), receive(t, all))
	})
}

func TestAnErrorOfAFileIsNoneOfTheConnections(t *testing.T) {
	overPoll(t, transport.SocketOptions{}, func(t *testing.T, h *harbour) {
		p, _, peer := h.connect()
		f := fileOf(t, []byte("short"))
		n, err := p.SendFile(f, 1, 100)
		if err == transport.ErrNotSent {
			t.Skip("this system sends no files")
		}
		require.NoError(t, err)
		require.EqualValues(t, 4, n)
		var own *transport.FileError
		n, err = p.SendFile(f, 5, 95)
		require.ErrorAs(t, err, &own)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Zero(t, n)
		require.NoError(t, f.Close())
		_, err = p.SendFile(f, 0, 1)
		require.ErrorAs(t, err, &own)
		require.ErrorIs(t, err, os.ErrClosed)
		directory, err := os.Open(t.TempDir())
		require.NoError(t, err)
		defer directory.Close()
		_, err = p.SendFile(directory, 0, 1)
		require.Equal(t, transport.ErrNotSent, err)
		n2, err := p.Writev([][]byte{[]byte(", and on")})
		require.NoError(t, err)
		assert.Equal(t, len(", and on"), n2)
		got := make([]byte, len("hort, and on"))
		_, err = io.ReadFull(peer, got)
		require.NoError(t, err)
		assert.Equal(t, "hort, and on", string(got))
	})
}

func fileOf(t *testing.T, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

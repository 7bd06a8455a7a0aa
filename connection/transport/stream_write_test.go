package transport_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
		n, err := writeAll(s, bufs)
		require.NoError(t, err)
		assert.Equal(t, len(want), n)
		assert.True(t, bytes.Equal(want, receive(t, read)))
	})
}

// writeAll writes step by step.
func writeAll(s *transport.Stream, bufs [][]byte) (written int, err error) {
	for bufs = slices.Clone(bufs); err == nil; {
		for len(bufs) > 0 && len(bufs[0]) == 0 {
			bufs = bufs[1:]
		}
		if len(bufs) == 0 {
			return written, nil
		}
		var n int
		n, err = s.Writev(bufs)
		written += n
		if n == 0 && err == nil {
			return written, errNoStep
		}
		for n > 0 {
			k := min(n, len(bufs[0]))
			bufs[0] = bufs[0][k:]
			n -= k
			if len(bufs[0]) == 0 {
				bufs = bufs[1:]
			}
		}
	}
	return written, err
}

var errNoStep = errors.New("a step without a byte")

// block writes until a Writev blocks, in a goroutine of its own, which ends with an error of
// Writev. It returns how many bytes were written when the last Writev began, and a channel for what
// that one, and any later one, returns.
func block(t *testing.T, s *transport.Stream, e *events) (before int, steps <-chan step) {
	t.Helper()
	all := make(chan step, 10_000)
	var written atomic.Int64
	go func() {
		p := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
		for {
			n, err := s.Writev([][]byte{p[:100], p[100:]})
			written.Add(int64(n))
			all <- step{n, err}
			if err != nil {
				return
			}
		}
	}()
	receive(t, e.full)
	for before < int(written.Load()) {
		one := receive(t, all)
		require.NoError(t, one.err)
		before += one.n
	}
	return before, all
}

// step is what a Writev returned.
type step struct {
	n   int
	err error
}

// drain waits for the error that ends the writing.
func drain(t *testing.T, steps <-chan step) {
	t.Helper()
	for receive(t, steps).err == nil {
	}
}

func TestAStepBlocksOnlyForItsFirstByte(t *testing.T) {
	overEverything(t, func(t *testing.T, s *transport.Stream, e *events, peer net.Conn) {
		before, steps := block(t, s, e)
		assert.Empty(t, steps)
		_, err := io.ReadFull(peer, make([]byte, before+16<<10)) // a record, or a piece, where there is no system call below it
		require.NoError(t, err)
		one := receive(t, steps)
		require.NoError(t, one.err)
		assert.Positive(t, one.n)
		s.Abort()
		drain(t, steps)
	})
}

func TestNoStepIsAnnouncedAsBlockedWhileThePeerReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := simnet.Pipe(simnet.Options{BufferSize: 1 << 10})
		s, e := transport.NewStream(ours, nil), newEvents()
		s.Open(e)
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		defer peer.Close()
		n, err := writeAll(s, [][]byte{make([]byte, 100_000)})
		require.NoError(t, err)
		assert.Equal(t, 100_000, n)
		assert.Empty(t, e.full)
		s.Abort()
	})
}

// Linux announces room when a third of the send buffer is free: with a slow peer that can take
// longer than a limit of time.
func TestRetryFindsRoomThatTheKernelHasNotAnnounced(t *testing.T) {
	ours, peer := tcpPair(t)
	defer peer.Close()
	require.NoError(t, peer.(*net.TCPConn).SetReadBuffer(64<<10))
	var joined sync.WaitGroup
	s, e := transport.NewStream(ours, &joined), newEvents()
	require.True(t, s.Open(e))
	_, steps := block(t, s, e)
	_, err := io.ReadFull(peer, make([]byte, 256<<10))
	require.NoError(t, err)
	var one step
	for stop := time.Now().Add(patience); one.n == 0; runtime.Gosched() {
		require.True(t, time.Now().Before(stop), "no byte was taken")
		s.Retry(true)
		select {
		case one = <-steps:
		default:
		}
	}
	require.NoError(t, one.err)
	s.Abort()
	drain(t, steps)
	joined.Wait()
}

// A connection that has no system call below it takes bytes in the middle of a Write. Retry makes
// it report them.
func TestRetryHasAWriteTellWhatItTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, pipe := range map[string]func() (net.Conn, net.Conn){
			"simnet": func() (net.Conn, net.Conn) {
				a, b := simnet.Pipe(simnet.Options{BufferSize: 10, Window: 10})
				return struct{ net.Conn }{a}, b // which hides that it resumes
			},
			"net.Pipe": net.Pipe,
		} {
			ours, peer := pipe()
			s, e := transport.NewStream(ours, nil), newEvents()
			s.Open(e)
			_, steps := block(t, s, e)
			s.Retry(true)
			synctest.Wait()
			if name == "simnet" {
				require.Equal(t, step{n: 10}, <-steps)
			}
			for range 3 {
				for range 5 {
					s.Retry(true) // nothing was taken
					synctest.Wait()
					require.Empty(t, steps, name)
				}
				_, err := peer.Read(make([]byte, 7))
				require.NoError(t, err)
				synctest.Wait()
				require.Empty(t, steps, name)
				s.Retry(true)
				synctest.Wait()
				require.Equal(t, step{n: 7}, <-steps, name)
			}
			s.Abort()
			require.Error(t, (<-steps).err)
		}
	})
}

func TestAConnectionThatResumesTellsWhatItTookWithoutBeingAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := simnet.Pipe(simnet.Options{BufferSize: 10, Window: 10})
		s, e := transport.NewStream(ours, nil), newEvents()
		s.Open(e)
		before, steps := block(t, s, e)
		time.Sleep(time.Second)
		if before == 0 {
			require.Equal(t, step{n: 10}, <-steps, "what there was room for")
		}
		for range 3 {
			time.Sleep(time.Minute)
			require.Empty(t, steps)
			_, err := peer.Read(make([]byte, 7))
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
			require.Equal(t, step{n: 7}, <-steps)
		}
		s.Abort()
		require.Error(t, (<-steps).err)
	})
}

func TestAWriteThatIsTriedAgainAllTheTimeIsAnnouncedAsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, _ := simnet.Pipe(simnet.Options{BufferSize: 10})
		s, e := transport.NewStream(ours, nil), newEvents()
		s.Open(e)
		_, err := writeAll(s, [][]byte{make([]byte, 10)})
		require.NoError(t, err)
		go func() { _, _ = s.Writev([][]byte{{1}}) }()
		for range 5 {
			time.Sleep(4 * time.Millisecond)
			s.Retry(true)
		}
		synctest.Wait()
		assert.NotEmpty(t, e.full)
		s.Abort()
	})
}

// An interruption would end a tls.Conn's writing for good.
func TestRetryLeavesTLSOfAListenerAlone(t *testing.T) {
	for name, wrapped := range map[string]func(*tls.Conn) net.Conn{
		"as it is":  func(c *tls.Conn) net.Conn { return c },
		"contained": func(c *tls.Conn) net.Conn { return struct{ *tls.Conn }{c} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := net.Pipe()
				client := tls.Client(peer, trusting)
				s, e := transport.NewStream(wrapped(tls.Server(ours, certified(t))), nil), newEvents()
				require.False(t, s.Open(e))
				go func() { _ = client.Handshake() }()
				require.NoError(t, shakeHands(t, s, e.readable, new(transport.Input), 100))
				before, steps := block(t, s, e)
				for range 5 {
					s.Retry(true)
					synctest.Wait()
				}
				_, err := io.ReadFull(client, make([]byte, before+16<<10))
				require.NoError(t, err)
				synctest.Wait()
				require.NotEmpty(t, steps)
				s.Abort()
			})
		})
	}
}

// rigid is a connection on which deadlines have no effect.
type rigid struct {
	net.Conn
	err   error
	sizes []int // of the writes
}

func (r *rigid) SetWriteDeadline(time.Time) error { return r.err }
func (r *rigid) Write(p []byte) (int, error) {
	r.sizes = append(r.sizes, len(p))
	return r.Conn.Write(p)
}

func TestSlowPeersGetSmallPieces(t *testing.T) {
	for name, err := range map[string]error{"ignored": nil, "refused": errors.ErrUnsupported} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := simnet.Pipe(simnet.Options{BufferSize: 100, Window: 100})
				conn := &rigid{Conn: ours, err: err}
				s, e := transport.NewStream(conn, nil), newEvents()
				s.Open(e)
				var reading sync.WaitGroup
				defer reading.Wait()
				defer s.Abort()
				reading.Go(func() {
					for p := make([]byte, 100); ; time.Sleep(time.Second) {
						if _, err := peer.Read(p); err != nil {
							return
						}
					}
				})
				p := make([]byte, 80<<10)
				for written, last := 0, time.Now(); written < len(p); last = time.Now() {
					s.Retry(true)
					n, err := s.Writev([][]byte{p[written:]})
					require.NoError(t, err)
					if written += n; written > n {
						assert.LessOrEqual(t, time.Since(last), 42*time.Second)
					}
				}
				assert.NotEmpty(t, e.full)
				assert.Equal(t, []int{16 << 10, 4 << 10, 2 << 10, 1 << 10, 512}, conn.sizes[:5])
			})
		})
	}
}

func TestPiecesAreLargeAgainOnceThePeerReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, peer := simnet.Pipe(simnet.Options{BufferSize: 100, Window: 100})
		conn := &rigid{Conn: ours}
		s := transport.NewStream(conn, nil)
		s.Open(newEvents())
		go func() {
			time.Sleep(time.Second)
			_, _ = io.Copy(io.Discard, peer)
		}()
		_, err := writeAll(s, [][]byte{make([]byte, 256<<10)})
		require.NoError(t, err)
		assert.Equal(t, []int{16 << 10, 4 << 10, 8 << 10, 16 << 10, 16 << 10}, conn.sizes[:5])
		s.Abort()
	})
}

// A net.Conn that takes less than it was given, and returns no error, breaks its contract. The
// bytes that went out are counted all the same, and nothing is skipped.
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
	overEverything(t, func(t *testing.T, s *transport.Stream, e *events, _ net.Conn) {
		_, steps := block(t, s, e)
		s.Abort()
		drain(t, steps)
	})
}

// Both use the deadline: Retry's must not be taken for Abort's, nor the other way round.
func TestAbortFreesAWritevThatIsTriedAgainAllTheTime(t *testing.T) {
	for range 20 {
		overEverything(t, func(t *testing.T, s *transport.Stream, e *events, _ net.Conn) {
			_, steps := block(t, s, e)
			stop := make(chan struct{})
			var retrying sync.WaitGroup
			retrying.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						s.Retry(true)
					}
				}
			})
			runtime.Gosched()
			s.Abort()
			drain(t, steps)
			close(stop)
			retrying.Wait()
		})
	}
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

func TestAStreamSendsAFileOrSaysThatItDoesNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("0123456789"), 0o600))
	overEach(t, func(t *testing.T, s *transport.Stream, _ *events, peer net.Conn) {
		f, err := os.Open(path)
		require.NoError(t, err)
		defer f.Close()
		n, err := s.SendFile(f, 2, 4)
		if err == transport.ErrNotSent {
			assert.Zero(t, n)
			return
		}
		require.NoError(t, err)
		assert.EqualValues(t, 4, n)
		n, err = s.SendFile(f, 6, 100)
		require.NoError(t, err)
		assert.EqualValues(t, 4, n)
		n, err = s.SendFile(f, 10, 96)
		assert.Zero(t, n)
		var own *transport.FileError
		require.ErrorAs(t, err, &own)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		_, err = s.Writev([][]byte{[]byte("on")})
		require.NoError(t, err)
		p := make([]byte, 10)
		_, err = io.ReadFull(peer, p)
		require.NoError(t, err)
		assert.Equal(t, "23456789on", string(p))
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
		n, err := writeAll(transport.NewStream(j, nil), bufs)
		require.Equal(t, len(want), n)
		require.True(t, bytes.Equal(want, bytes.Join(j.writes, nil)))
		if fails {
			require.Equal(t, errFull, err)
		} else {
			require.NoError(t, err)
		}
	})
}

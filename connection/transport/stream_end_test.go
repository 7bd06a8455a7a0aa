package transport_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/test/simnet"
)

func TestWhatIsHeldIsFetchedInOrderWheneverAndInAnyPieces(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 1000)
	overEverything(t, func(t *testing.T, s *transport.Stream, e *events, peer net.Conn) {
		sending := rand.New(rand.NewPCG(1, 1))
		go func() {
			for left := text; left != ""; {
				n := min(len(left), 1+sending.IntN(700))
				_, _ = io.WriteString(peer, left[:n])
				left = left[n:]
			}
			_ = peer.Close()
		}()
		random := rand.New(rand.NewPCG(1, 2))
		var got strings.Builder
		for {
			for range random.IntN(4) {
				if s.Hold(1 + random.IntN(8<<10)) {
					select {
					case <-e.readable:
					default:
					}
				}
			}
			var in transport.Input
			room := 1 + random.IntN(3000)
			n, err := fill(t, s, e, &in, room)
			require.LessOrEqual(t, n, room)
			require.Equal(t, n, in.Len())
			got.Write(in.Bytes())
			in.Release()
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				break
			}
		}
		assert.Equal(t, text, got.String(), "%d of %d bytes", got.Len(), len(text))
	})
}

// held calls Hold on s until s reads no more, and returns whether s watches.
func held(s *transport.Stream, room int) (watched bool) {
	for range 100 {
		watched = s.Hold(room)
		synctest.Wait()
	}
	return watched
}

func TestHoldReadsNoMoreThanThereIsRoomFor(t *testing.T) {
	for _, room := range []int{0, 1, 100, 2 << 10, 8 << 10, 64 << 10} {
		synctest.Test(t, func(t *testing.T) {
			ours, peer := simnet.Pipe(simnet.Options{BufferSize: 128 << 10})
			s := transport.NewStream(ours, nil)
			require.True(t, s.Open(&deaf{}))
			for range 1000 {
				_, err := peer.Write(make([]byte, 100))
				require.NoError(t, err)
			}
			assert.False(t, held(s, room), "there is more than that")
			assert.LessOrEqual(t, s.Unread(), room)
			if room >= 8<<10 {
				assert.GreaterOrEqual(t, s.Unread(), room/2)
			}
			_ = s.Close()
			_ = peer.Close()
		})
	}
}

// deaf ignores all events.
type deaf struct{}

func (deaf) Readable(bool) {}
func (deaf) Writable()     {}
func (deaf) Full()         {}

func TestHoldMeetsTheEndOfAPeerThatSentLittle(t *testing.T) {
	for name, end := range map[string]func(peer *simnet.Conn){
		"FIN": func(peer *simnet.Conn) { _ = peer.CloseWrite() },
		"RST": func(peer *simnet.Conn) {
			_ = peer.SetLinger(0)
			_ = peer.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := simnet.Pipe(simnet.Options{})
				s := transport.NewStream(ours, nil)
				require.True(t, s.Open(&deaf{}))
				for range 50 {
					_, err := peer.Write([]byte("a line\n"))
					require.NoError(t, err)
					assert.True(t, held(s, 8<<10), "it will tell of the end")
				}
				finished, err := s.EndSeen(false)
				assert.False(t, finished)
				require.NoError(t, err)
				end(peer)
				held(s, 8<<10)
				finished, err = s.EndSeen(false)
				assert.True(t, finished)
				if name == "RST" {
					assert.True(t, transport.IsReset(err), "%v", err)
				} else {
					require.NoError(t, err)
				}
				assert.Equal(t, 350, s.Unread())
				var in transport.Input
				for err = nil; err == nil; {
					_, err = s.Fill(&in, 8<<10)
				}
				assert.Equal(t, strings.Repeat("a line\n", 50), string(in.Bytes()))
				assert.True(t, errors.Is(err, io.EOF) || transport.IsReset(err), "%v", err)
				_ = s.Close()
				_ = peer.Close()
			})
		})
	}
}

func TestASocketOfTheSystemIsAskedForTheEndBehindMoreThanIsHeld(t *testing.T) {
	if !transport.PollSupported {
		t.Skip("not here")
	}
	ours, peer := tcpPair(t)
	s := transport.NewStream(ours, nil)
	require.True(t, s.Open(&deaf{}))
	defer func() { _ = s.Close() }()
	_, err := peer.Write(make([]byte, 10_000))
	require.NoError(t, err)
	assert.False(t, s.Hold(0))
	finished, broken := s.LookForEnd()
	assert.False(t, finished || broken || s.Broken())
	require.NoError(t, peer.(*net.TCPConn).SetLinger(0))
	require.NoError(t, peer.Close())
	for !broken {
		_, broken = s.LookForEnd()
	}
	_, broken = s.LookForEnd()
	assert.True(t, broken, "looking does not take it away")
	assert.True(t, s.Broken())
	_, err = s.EndSeen(true)
	assert.True(t, transport.IsReset(err), "%v", err)
	assert.Equal(t, 10_000, s.Unread())
}

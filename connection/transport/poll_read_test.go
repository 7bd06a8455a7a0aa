//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport_test

import (
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

func always(room int) func() int { return func() int { return room } }

// drained requires that there is nothing to read, however many events come: the socket's first one
// may come with, or after, the first bytes.
func drained(t *testing.T, p *transport.Poll) {
	t.Helper()
	_, err := p.Fill(new(transport.Input), 10)
	require.ErrorIs(t, err, transport.ErrAgain)
}

func TestAPolledReadThatCameBackShortIsFollowedByAnEvent(t *testing.T) {
	overPoll(t, transport.SocketOptions{NoDelay: true}, func(t *testing.T, h *harbour) {
		p, a, peer := h.connect()
		for _, word := range []string{"a", "bc", "def", "g"} {
			drained(t, p)
			before := a.readableCount.Load()
			_, err := io.WriteString(peer, word)
			require.NoError(t, err)
			got, err := take(t, p, a, 10)
			require.NoError(t, err)
			assert.Equal(t, word, string(got))
			assert.Greater(t, a.readableCount.Load(), before)
		}
		drained(t, p)
		for p.Ready(10) { // an event that came late
			drained(t, p)
		}
	})
}

// No event comes for what was there already: as long as reads come back full, there may be more.
func TestAPolledReadThatCameBackFullLeavesTheConnectionReady(t *testing.T) {
	overPoll(t, transport.SocketOptions{}, func(t *testing.T, h *harbour) {
		p, peer := h.accept()
		_, err := io.WriteString(peer, "0123456789")
		require.NoError(t, err)
		a := newAnnounced()
		require.True(t, p.Open(a))
		receive(t, a.readable) // the only event that comes
		for _, part := range []string{"0123", "4567", "89"} {
			require.True(t, p.Ready(4))
			got, err := take(t, p, a, 4)
			require.NoError(t, err)
			require.Equal(t, part, string(got))
		}
		assert.False(t, p.Ready(4))
		assert.EqualValues(t, 1, a.readableCount.Load())
	})
}

func TestWhatCameBeforeTheFINIsReadToTheLastByte(t *testing.T) {
	sent := text(100_000, 1)
	overPoll(t, transport.SocketOptions{}, func(t *testing.T, h *harbour) {
		for name, finish := range map[string]func(net.Conn){
			"half-closed": func(c net.Conn) { _ = c.(interface{ CloseWrite() error }).CloseWrite() },
			"closed":      func(c net.Conn) { _ = c.Close() },
		} {
			for _, opened := range []bool{false, true} { // before the bytes come, or when all are there
				p, peer := h.accept()
				a := newAnnounced()
				if opened {
					require.True(t, p.Open(a))
				}
				all := make(chan struct{})
				go func() {
					defer close(all)
					_, _ = peer.Write(sent)
					finish(peer)
				}()
				if !opened {
					<-all // on this machine written bytes have arrived
					require.True(t, p.Open(a))
				}
				got, err := takeAll(t, p, a, always(3000))
				assert.Equal(t, io.EOF, err, name)
				same(t, sent, got)
				assert.True(t, p.Ready(1), "the end stays")
				_, err = p.Fill(new(transport.Input), 1)
				assert.Equal(t, io.EOF, err, "for whoever asks again")
			}
		}
	})
}

// The FIN's event may come while the bytes before it are being read. No other event follows it.
func TestAFINThatComesAloneIsNoticed(t *testing.T) {
	overPoll(t, transport.SocketOptions{}, func(t *testing.T, h *harbour) {
		for range 50 {
			p, a, peer := h.connect()
			_, err := io.WriteString(peer, "hello")
			require.NoError(t, err)
			go func() { _ = peer.Close() }()
			got, err := takeAll(t, p, a, always(100))
			assert.Equal(t, io.EOF, err)
			assert.False(t, p.Broken())
			assert.Equal(t, "hello", string(got))
		}
	})
}

func TestWhatCameBeforeARSTIsReadAndThenTheRST(t *testing.T) {
	h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{NoDelay: true})
	p, a, peer := h.connect()
	_, err := io.WriteString(peer, "last words")
	require.NoError(t, err)
	receive(t, a.readable) // they have come
	require.NoError(t, peer.(*net.TCPConn).SetLinger(0))
	require.NoError(t, peer.Close())
	receive(t, a.readable)
	assert.True(t, p.Broken())
	got, err := takeAll(t, p, a, always(4))
	assert.Equal(t, "last words", string(got))
	assert.True(t, transport.IsReset(err), "%v", err)
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	assert.Equal(t, "read", op.Op)
	assert.Equal(t, "tcp", op.Net)
	assert.Equal(t, peer.LocalAddr().String(), op.Addr.String())
	_, err = p.Writev([][]byte{[]byte("too late")})
	assert.True(t, transport.IsReset(err), "%v", err)
}

// No event and no byte is lost, for any pieces and pauses. A reader that missed one would wait for
// ever.
func TestInAStormOfPiecesEveryByteIsRead(t *testing.T) {
	const pieces = 3000
	overPoll(t, transport.SocketOptions{NoDelay: true}, func(t *testing.T, h *harbour) {
		p, a, peer := h.connect()
		sent := text(pieces*300, 2)
		go func() {
			random := rand.New(rand.NewPCG(1, 2))
			rest := sent
			for len(rest) > 0 {
				n := min(1+random.IntN(600), len(rest))
				_, _ = peer.Write(rest[:n])
				rest = rest[n:]
				if random.IntN(4) == 0 {
					time.Sleep(time.Duration(random.IntN(50)) * time.Microsecond)
				}
			}
			_ = peer.Close()
		}()
		random := rand.New(rand.NewPCG(3, 4))
		got, err := takeAll(t, p, a, func() int { return 1 + random.IntN(1000) })
		assert.Equal(t, io.EOF, err)
		same(t, sent, got)
	})
}

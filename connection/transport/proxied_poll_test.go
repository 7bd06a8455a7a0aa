//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport_test

import (
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

// proxied returns both ends of a new connection; the client is expected to send a header.
func (h *harbour) proxied() (*transport.Proxied, *announced, net.Conn) {
	h.t.Helper()
	p, peer := h.accept()
	proxied, a := transport.NewProxied(p, nil), newAnnounced()
	require.False(h.t, proxied.Open(a))
	return proxied, a, peer
}

func TestOnAPolledSocketAHeaderMayComeByteByByte(t *testing.T) {
	overPoll(t, transport.SocketOptions{NoDelay: true}, func(t *testing.T, h *harbour) {
		for name, one := range headers {
			p, a, peer := h.proxied()
			var in transport.Input
			for i := range one.text {
				require.Equal(t, transport.ErrAgain, p.Handshake(&in, 8192), "%s, %d bytes", name, i)
				_, err := io.WriteString(peer, one.text[i:i+1])
				require.NoError(t, err)
				receive(t, a.readable)
			}
			require.NoError(t, shakeHands(t, p, a.readable, &in, 8192), name)
			assert.Equal(t, one.text, string(p.Header().Raw))
			_, _ = io.WriteString(peer, "data")
			_ = peer.Close()
			assert.Equal(t, "data", rest(t, p, a.readable, &in))
		}
	})
}

// The only event that comes announces all at once: bytes, and the end.
func TestOnAPolledSocketHeaderDataAndFINInOneEvent(t *testing.T) {
	overPoll(t, transport.SocketOptions{}, func(t *testing.T, h *harbour) {
		for name, one := range headers {
			data := string(text(20_000, 1))
			p, peer := h.accept()
			_, err := io.WriteString(peer, one.text+data)
			require.NoError(t, err)
			_ = peer.Close()
			proxied, a := transport.NewProxied(p, nil), newAnnounced()
			proxied.Open(a)
			var in transport.Input
			require.NoError(t, shakeHands(t, proxied, a.readable, &in, 8192), name)
			assert.LessOrEqual(t, in.Len(), 8192)
			assert.Equal(t, data, rest(t, proxied, a.readable, &in), "%s: other bytes than were sent", name)
		}
	})
}

func TestOnAPolledSocketTheLongestHeader(t *testing.T) {
	overPoll(t, transport.SocketOptions{}, func(t *testing.T, h *harbour) {
		p, a, peer := h.proxied()
		go func() { _, _ = io.WriteString(peer, longest.text+"data"); _ = peer.Close() }()
		var in transport.Input
		require.NoError(t, shakeHands(t, p, a.readable, &in, 8192))
		assert.Equal(t, longest.tlvs, string(p.Header().TLVs))
		assert.Equal(t, "data", rest(t, p, a.readable, &in))
	})
}

func TestOnAPolledSocketAnEndWithinTheHeader(t *testing.T) {
	overPoll(t, transport.SocketOptions{}, func(t *testing.T, h *harbour) {
		p, a, peer := h.proxied()
		_, _ = io.WriteString(peer, "PROXY TCP4 ")
		_ = peer.Close()
		var in transport.Input
		require.ErrorIs(t, shakeHands(t, p, a.readable, &in, 8192), io.ErrUnexpectedEOF)
		in.Release()
	})
	h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{})
	p, a, peer := h.proxied()
	_, _ = io.WriteString(peer, "PROXY TCP4 ")
	_ = peer.(*net.TCPConn).SetLinger(0)
	_ = peer.Close()
	var in transport.Input
	require.ErrorIs(t, shakeHands(t, p, a.readable, &in, 8192), syscall.ECONNRESET)
	in.Release()
}

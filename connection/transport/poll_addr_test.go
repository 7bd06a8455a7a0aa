//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/connection/transport"
)

// The other end sees the same two addresses, the other way round.
func TestAPollHasTheAddressesThatPackageNetWouldGiveIt(t *testing.T) {
	for _, c := range []struct{ network, listen, dial string }{
		{"tcp4", "127.0.0.1:0", ""},
		{"tcp6", "[::1]:0", ""},
		{"tcp4", "0.0.0.0:0", "127.0.0.1"},
		{"tcp4", "0.0.0.0:0", "127.0.0.2"},
		{"tcp", ":0", "127.0.0.3"}, // through an IPv6 socket
		{"tcp", ":0", "::1"},
		{"tcp6", "[::]:0", "::1"},
	} {
		t.Run(c.listen+" "+c.dial, func(t *testing.T) {
			h := newHarbour(t, c.network, c.listen, transport.SocketOptions{})
			if c.dial != "" {
				h.addr = &net.TCPAddr{IP: net.ParseIP(c.dial), Port: h.addr.(*net.TCPAddr).Port}
			}
			p, _, peer := h.connect()
			assert.Equal(t, peer.RemoteAddr().String(), p.LocalAddr().String())
			assert.Equal(t, peer.LocalAddr().String(), p.RemoteAddr().String())
			assert.Equal(t, "tcp", p.LocalAddr().Network())
			assert.Equal(t, "tcp", p.RemoteAddr().Network())

			local, remote := p.LocalAddr(), p.RemoteAddr()
			_ = p.Close()
			assert.Equal(t, local, p.LocalAddr(), "also after the end")
			assert.Equal(t, remote, p.RemoteAddr())
		})
	}
}

func TestPolledUnixAddressesAreThoseOfNet(t *testing.T) {
	h := newHarbour(t, "unix", "", transport.SocketOptions{})
	p, _, peer := h.connect()
	for range 2 {
		assert.Equal(t, peer.RemoteAddr(), p.LocalAddr())
		assert.Equal(t, peer.LocalAddr(), p.RemoteAddr())
		_ = p.Close()
	}
}

// A client of a listener on all interfaces chooses the local address.
func TestWhatIsRememberedOfLocalAddressesIsBounded(t *testing.T) {
	h := newHarbour(t, "tcp4", "0.0.0.0:0", transport.SocketOptions{})
	for i := range 100 {
		h.addr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i)), Port: h.addr.(*net.TCPAddr).Port}
		p, _, peer := h.connect()
		assert.Equal(t, peer.RemoteAddr().String(), p.LocalAddr().String())
	}
	assert.LessOrEqual(t, h.socket.Origins(), 64)
}

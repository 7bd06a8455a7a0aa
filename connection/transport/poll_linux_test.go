package transport_test

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-berth/berth/connection/transport"
)

// Urgent bytes end a read early although there is more behind them, for which no event will come.
func TestBytesBehindUrgentOnesAreRead(t *testing.T) {
	h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{NoDelay: true})
	p, peer := h.accept()
	_, err := io.WriteString(peer, "before")
	require.NoError(t, err)
	urgent(t, peer.(*net.TCPConn), "!")
	_, err = io.WriteString(peer, "after")
	require.NoError(t, err)
	a := newAnnounced()
	require.True(t, p.Open(a))
	got := ""
	for len(got) < len("beforeafter") {
		some, err := take(t, p, a, 100)
		require.NoError(t, err)
		got += string(some)
	}
	assert.Equal(t, "beforeafter", got)
}

// urgent sends out of band.
func urgent(t *testing.T, c *net.TCPConn, p string) {
	t.Helper()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), []byte(p), unix.MSG_OOB, nil) }))
	require.NoError(t, err)
}

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

// The descriptor is open in another place too, so that the close does not send the FIN. Late bytes
// must not come before the FIN.
func TestADismissedClientGetsMessageAndFIN(t *testing.T) {
	ours, theirs := tcpPair(t)
	defer theirs.Close()
	twin, err := ours.(*net.TCPConn).File()
	require.NoError(t, err)
	defer twin.Close()
	require.True(t, transport.Dismiss(ours, []byte("go away")))
	_ = theirs.SetDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(theirs)
	require.NoError(t, err)
	assert.Equal(t, "go away", string(text))
	_, err = ours.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
}

// A net.Conn around a socket may encode bytes, as TLS does. No byte may go past it.
func TestWhatContainsASocketIsNotDismissed(t *testing.T) {
	ours, theirs := tcpPair(t)
	defer theirs.Close()
	defer ours.Close()
	assert.False(t, transport.Dismiss(struct{ *net.TCPConn }{ours.(*net.TCPConn)}, []byte("go away")))
	_, err := ours.Write([]byte("x"))
	require.NoError(t, err)
}

func TestAClientThatHasGoneIsDismissedToo(t *testing.T) {
	ours, theirs := tcpPair(t)
	require.NoError(t, theirs.(*net.TCPConn).SetLinger(0))
	require.NoError(t, theirs.Close())
	require.True(t, transport.Dismiss(ours, []byte("go away")))
	require.True(t, transport.Dismiss(ours, []byte("go away")), "and twice is no harm")
}

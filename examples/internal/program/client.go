package program

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Dial connects to a program. The connection has a deadline of Limit, so that a test fails rather
// than hangs; it is closed with the test. An error fails the test, on whose goroutine Dial must be
// called.
func Dial(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout(network, addr, Limit)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(Limit)))
	return conn
}

// DialTCP is Dial over TCP.
func DialTCP(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	return Dial(t, "tcp", addr).(*net.TCPConn)
}

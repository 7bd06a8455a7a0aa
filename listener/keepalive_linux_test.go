package listener

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// keepAlive returns what the server's end of a connection has, by the kernel's word: it is found by the addresses of c, the client's end.
func keepAlive(t *testing.T, c net.Conn) (on bool, interval time.Duration) {
	t.Helper()
	for fd := 3; fd < 1024; fd++ {
		peer, err := unix.Getpeername(fd)
		if err != nil {
			continue
		}
		if in4, ok := peer.(*unix.SockaddrInet4); !ok || in4.Port != c.LocalAddr().(*net.TCPAddr).Port {
			continue
		}
		enabled, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		require.NoError(t, err)
		idle, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
		require.NoError(t, err)
		seconds, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
		require.NoError(t, err)
		assert.Equal(t, seconds, idle)
		return enabled == 1, time.Duration(seconds) * time.Second
	}
	require.FailNow(t, "no such connection")
	return false, 0
}

func TestProbesAreSentEveryFifteenSecondsUnlessTheOptionSaysOtherwise(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for _, one := range []struct {
			option, config, interval time.Duration
		}{{0, 0, 15 * time.Second}, {time.Minute, 0, time.Minute}, {0, time.Minute, time.Minute}, {time.Minute, time.Hour, time.Minute}} {
			o.KeepAlive, o.ListenConfig.KeepAlive = one.option, one.config
			c := dial(t, newWorld().listen(t, of(newEcho()), o))
			echoes(t, c)
			on, interval := keepAlive(t, c)
			assert.True(t, on)
			assert.Equal(t, one.interval, interval, "%+v", one)
		}
	})
}

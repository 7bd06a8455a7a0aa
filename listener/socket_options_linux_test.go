package listener

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// serverEnd returns the descriptor of the server's end of a connection, of which c is the client's.
// Clients of two servers may have the same port, so both ends are compared.
func serverEnd(t *testing.T, c net.Conn) int {
	t.Helper()
	for fd := 3; fd < 1024; fd++ {
		peer, err := unix.Getpeername(fd)
		if err != nil {
			continue
		}
		switch peer := peer.(type) {
		case *unix.SockaddrInet4:
			own, err := unix.Getsockname(fd)
			require.NoError(t, err)
			ours, ok := own.(*unix.SockaddrInet4)
			local, isTCP := c.LocalAddr().(*net.TCPAddr)
			if ok && isTCP && peer.Port == local.Port && ours.Port == c.RemoteAddr().(*net.TCPAddr).Port {
				return fd
			}
		case *unix.SockaddrUnix:
			if local, ok := c.LocalAddr().(*net.UnixAddr); ok && peer.Name == local.Name {
				return fd
			}
		}
	}
	require.FailNow(t, "no such connection")
	return -1
}

func option(t *testing.T, fd, level, name int) int {
	t.Helper()
	value, err := unix.GetsockoptInt(fd, level, name)
	require.NoError(t, err)
	return value
}

// probes returns the time before the first keep-alive probe and the time between two; 0 means that
// none is sent.
func probes(t *testing.T, fd int) (idle, interval time.Duration) {
	t.Helper()
	if option(t, fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 0 {
		return 0, 0
	}
	return time.Duration(option(t, fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)) * time.Second,
		time.Duration(option(t, fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)) * time.Second
}

func TestProbesAreSentEveryFifteenSecondsUnlessTheOptionSaysOtherwise(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for _, one := range []struct {
			option, config, idle, interval time.Duration
		}{
			{0, 0, 15 * time.Second, 15 * time.Second},
			{time.Minute, 0, time.Minute, time.Minute},
			{0, time.Minute, time.Minute, 15 * time.Second}, // as package net takes it
			{time.Minute, time.Hour, time.Minute, time.Minute},
			{-1, 0, 0, 0},
			{-1, time.Hour, 0, 0},
		} {
			o.KeepAlive, o.ListenConfig.KeepAlive = one.option, one.config
			c := dial(t, newWorld().listen(t, of(newEcho()), o))
			echoes(t, c)
			idle, interval := probes(t, serverEnd(t, c))
			assert.Equal(t, one.idle, idle, "%+v", one)
			assert.Equal(t, one.interval, interval, "%+v", one)
		}
	})
}

func TestSocketOptionsAreReplacedForNewConnections(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		l := newWorld().listen(t, of(newEcho()), o)
		before := dial(t, l)
		echoes(t, before)
		check := func(c net.Conn, keepAlive time.Duration, noDelay int) {
			t.Helper()
			echoes(t, c)
			idle, interval := probes(t, serverEnd(t, c))
			assert.Equal(t, keepAlive, idle)
			assert.Equal(t, keepAlive, interval)
			assert.Equal(t, noDelay, option(t, serverEnd(t, c), unix.IPPROTO_TCP, unix.TCP_NODELAY))
		}
		o.KeepAlive, o.DisableNoDelay, o.RecvBufferSize, o.SendBufferSize = time.Minute, true, 20_000, 30_000
		require.NoError(t, l.SetOptions(o))
		c := dial(t, l)
		check(c, time.Minute, 0)
		assert.Equal(t, 2*20_000, option(t, serverEnd(t, c), unix.SOL_SOCKET, unix.SO_RCVBUF), "the kernel doubles it")
		assert.Equal(t, 2*30_000, option(t, serverEnd(t, c), unix.SOL_SOCKET, unix.SO_SNDBUF))
		check(before, 15*time.Second, 1)
		o.KeepAlive, o.DisableNoDelay = -1, false
		require.NoError(t, l.SetOptions(o))
		check(dial(t, l), 0, 1)
		o.KeepAlive = 0
		require.NoError(t, l.SetOptions(o))
		check(dial(t, l), 15*time.Second, 1)
	})
}

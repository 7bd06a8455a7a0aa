package netconn

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/listener"
)

func TestCloseEndsAcceptAndLeavesConnectionsThatWereHandedOut(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		l, _, dial := n.open(t, mostQueued, listener.Options{})
		client, err := dial()
		require.NoError(t, err)
		defer client.Close()
		c, err := l.Accept()
		require.NoError(t, err)
		result := make(chan error)
		go func() {
			_, err := l.Accept()
			result <- err
		}()
		require.NoError(t, soon(t, l.Close))
		err = receive(t, result)
		require.ErrorIs(t, err, net.ErrClosed)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		assert.Equal(t, "accept", op.Op)
		assert.Equal(t, l.Addr(), op.Addr)
		assert.ErrorIs(t, l.Close(), net.ErrClosed)
		_, err = l.Accept()
		assert.ErrorIs(t, err, net.ErrClosed)
		if n.family != "sim" { // the address is free
			again, err := net.Listen(n.family, l.Addr().String())
			require.NoError(t, err)
			_ = again.Close()
		}
		write(t, client, "ping")
		assert.Equal(t, "ping", read(t, c, 4))
		write(t, c, "pong")
		assert.Equal(t, "pong", read(t, client, 4))
		select {
		case <-l.Server().Done():
			assert.Fail(t, "the server has ended under a connection")
		default:
		}
		require.NoError(t, c.Close())
		_ = client.Close()
		receive(t, l.Server().Done())
	})
}

func TestCloseResetsUnacceptedConnections(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		l, _, dial := n.open(t, mostQueued, listener.Options{})
		client, err := dial()
		require.NoError(t, err)
		defer client.Close()
		eventually(t, func() bool { l.mu.Lock(); defer l.mu.Unlock(); return len(l.queue) == 1 })
		require.NoError(t, l.Close())
		_, err = readError(t, client)
		if n.family == "tcp" {
			assert.NotEqual(t, io.EOF, err)
		}
		receive(t, l.Server().Done())
	})
}

func TestAFullQueuePausesAcceptingAndBlocksNoHandler(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		const most, clients = 2, 9
		l, _, dial := n.open(t, most, listener.Options{})
		var all []net.Conn
		for range clients {
			client, err := dial()
			require.NoError(t, err)
			t.Cleanup(func() { _ = client.Close() })
			all = append(all, client)
			if !n.secured {
				write(t, client, "hello")
			}
		}
		eventually(t, func() bool { return !l.Server().Info().Accepting })
		if !n.secured { // handlers that blocked would read nothing
			eventually(t, func() bool { return l.Server().Info().Read >= 5*most })
		}
		for range all {
			c := soon(t, func() net.Conn {
				c, err := l.Accept()
				assert.NoError(t, err)
				return c
			})
			if !n.secured {
				assert.Equal(t, "hello", read(t, c, 5))
			}
			require.NoError(t, c.Close())
		}
		eventually(t, func() bool { return l.Server().Info().Accepting })
	})
}

func TestAcceptEndsWithAServerThatEndsByItself(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		l, _, dial := n.open(t, mostQueued, listener.Options{})
		client, err := dial()
		require.NoError(t, err)
		defer client.Close()
		c, err := l.Accept()
		require.NoError(t, err)
		result := make(chan error)
		go func() {
			_, err := l.Accept()
			result <- err
		}()
		require.NoError(t, l.Server().Close())
		assert.ErrorIs(t, receive(t, result), net.ErrClosed)
		_, err = readError(t, c)
		assert.ErrorIs(t, err, net.ErrClosed)
		opError(t, "read", c.(*Conn), err)
		require.NoError(t, soon(t, l.Close))
	})
}

func TestAConnectionThatEndedInTheQueueIsHandedOutWithItsInput(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		l, _, dial := n.open(t, mostQueued, listener.Options{})
		client, err := dial()
		require.NoError(t, err)
		write(t, client, "bye")
		eventually(t, func() bool { return l.Server().Info().Read == 3 })
		reset(t, client)
		eventually(t, func() bool { return l.Server().Info().Open == 0 })
		c, err := l.Accept()
		require.NoError(t, err)
		text, err := readError(t, c)
		assert.Equal(t, "bye", text)
		opError(t, "read", c.(*Conn), err)
	})
}

func TestBadOptionsAreRefused(t *testing.T) {
	var o listener.Options
	o.Workers = -1
	_, err := Listen("127.0.0.1:0", o)
	require.Error(t, err)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer socket.Close()
	_, err = NewListener(socket, o)
	require.Error(t, err)
	const sentence = "berth: no spawner: give an actor system's Root, or the context of an actor"
	_, err = ListenIn(nil, "127.0.0.1:0", listener.Options{})
	require.EqualError(t, err, sentence)
	_, err = NewListenerIn(nil, socket, listener.Options{})
	require.EqualError(t, err, sentence)
}

package listener

import (
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

func TestAConnectionThatIsNotCountedLeavesItsPlacesToOthers(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MaxConnections, o.MaxConnectionsPerIP = 1, 1
		handler := newEcho()
		l := w.listen(t, of(handler), o)
		long := dial(t, l)
		echoes(t, long)
		second := dial(t, l)
		_, err := io.WriteString(second, "hello")
		require.NoError(t, err)
		socket := receive(t, handler.accepted)
		var all sync.WaitGroup
		for range 8 { // once and eight times are the same
			all.Go(socket.Detach)
		}
		all.Wait()
		_, err = io.ReadFull(second, make([]byte, 5))
		require.NoError(t, err)
		echoes(t, long)
		info := l.Info()
		assert.Equal(t, 2, info.Open)
		assert.Equal(t, 1, info.Detached)
		_ = long.Close()
		eventually(t, func() bool { return l.Info().Open == 1 })
		assert.Zero(t, l.Info().Detached)
		socket.Detach() // the connection has ended: nothing is given back

		third := dial(t, l)
		_, err = io.WriteString(third, "hello")
		require.NoError(t, err)
		for range 20 {
			echoes(t, second)
		}
		assert.Equal(t, 1, l.Info().Open, "the permit of the second one is taken still")
		_ = second.Close()
		_, err = io.ReadFull(third, make([]byte, 5))
		require.NoError(t, err)
	})
}

func TestAConnectionIsTakenOutOfTheCountByMessageToo(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MaxConnections = 1
		handler := newEcho()
		l := w.listen(t, of(handler), o)
		echoes(t, dial(t, l))
		socket := receive(t, handler.accepted)
		answer, err := w.Root.RequestFuture(socket.PID(), &protocol.Detach{Ack: 1}, patience).Result()
		require.NoError(t, err)
		assert.Equal(t, &protocol.Done{Ack: 1}, answer)
		echoes(t, dial(t, l))
		socket = receive(t, handler.accepted)
		done := make(chan error, 1)
		socket.Do(&protocol.Detach{}, func(err error) { done <- err })
		require.NoError(t, receive(t, done))
		echoes(t, dial(t, l))
		assert.Equal(t, 2, l.Info().Detached)
	})
}

// Permits come back exactly once, whether the handler, other goroutines or the end come first.
func TestInAStormOfDetachesEveryPermitComesBackOnce(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		const clients, most = 120, 4
		w := newWorld()
		o.MaxConnections, o.MaxConnectionsPerIP = most, most
		handler := newEcho()
		l := w.listen(t, of(handler), o)
		var storm sync.WaitGroup
		for range clients {
			c := dial(t, l)
			socket := receive(t, handler.accepted)
			storm.Go(func() { _ = c.Close() })
			for range 3 {
				storm.Go(socket.Detach)
			}
			storm.Go(func() { w.Root.Send(socket.PID(), &protocol.Detach{}) })
		}
		storm.Wait()
		eventually(t, func() bool { return l.Info().Open == 0 })
		assert.Zero(t, l.Info().Detached)
		assert.Zero(t, l.server.admission.State())
	})
}

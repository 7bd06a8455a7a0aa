package listener

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

func TestAListenerCountsItsConnectionsByStateAndByEnd(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		handler := newEcho()
		l := newWorld().listen(t, of(handler), o)
		assert.Empty(t, l.Connections())
		var clients []net.Conn
		var sockets []protocol.Socket
		for range 3 {
			c := dial(t, l)
			echoes(t, c)
			clients, sockets = append(clients, c), append(sockets, receive(t, handler.accepted))
		}
		assert.ElementsMatch(t, sockets, l.Connections())
		for _, s := range l.Connections() {
			assert.NotEmpty(t, s.PID().Id)
		}
		_ = clients[1].Close()
		sockets[2].Abort()
		require.NoError(t, l.WaitConnections(within(t, patience), exactly(1)))
		eventually(t, func() bool { return l.Info().QueuedWrites == 0 })
		info := l.Info()
		assert.Equal(t, sockets[:1], l.Connections())
		assert.Equal(t, 1, info.Open)
		assert.Equal(t, map[protocol.State]int{protocol.StateOpen: 1}, info.ByState)
		assert.Equal(t, map[protocol.Reason]uint64{protocol.ReasonPeerClosed: 1, protocol.ReasonLocalAborted: 1}, info.Ended)
		assert.EqualValues(t, 3*5, info.Read, "of live and ended ones")
		assert.EqualValues(t, 3*5, info.Written)
		require.NoError(t, l.Close())
		assert.Empty(t, l.Connections())
		assert.EqualValues(t, 1, l.Info().Ended[protocol.ReasonShutdown])
		assert.EqualValues(t, 3*5, l.Info().Read)
	})
}

func TestAListenerCountsTheBacklogOfWrites(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		handler := newEcho()
		o.SendBufferSize = 8 << 10
		o.Connection = connection.Options{WriteBufferSize: 16 << 20}
		l := newWorld().listen(t, of(handler), o)
		c := dial(t, l)
		require.NoError(t, c.(*net.TCPConn).SetReadBuffer(8<<10))
		socket := receive(t, handler.accepted)
		const size = 1 << 20
		for range 3 {
			_, err := socket.Write(make([]byte, size))
			require.NoError(t, err)
		}
		info := l.Info()
		for before := uint64(1); before != info.Written; info = l.Info() { // the counts are not read at one moment
			before = info.Written
		}
		assert.Equal(t, 3, info.QueuedWrites)
		assert.Greater(t, info.QueuedBytes, 2*size)
		assert.LessOrEqual(t, uint64(info.QueuedBytes)+info.Written, uint64(3*size))
	})
}

func TestAHandshakeIsAStateToo(t *testing.T) {
	server, _ := certified(t)
	l := newWorld().listen(t, of(newEcho()), Options{TLSConfig: server})
	dial(t, l)
	require.NoError(t, l.WaitConnections(within(t, patience), exactly(1)))
	assert.Equal(t, map[protocol.State]int{protocol.StateOpening: 1}, l.Info().ByState)
}

// Connections come and go meanwhile. No connection is counted twice or not at all, and no count
// since the start ever falls.
func TestInAStormTheCountsOfAListenerAgree(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		const dialers, each = 6, 60
		l := newWorld().listen(t, of(&echo{}), o)
		var storm sync.WaitGroup
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			var read, written, ended uint64
			for looks := 0; ; looks++ {
				info := l.Info()
				states, ends := 0, uint64(0)
				for _, n := range info.ByState {
					states += n
				}
				for _, n := range info.Ended {
					ends += n
				}
				assert.Equal(t, info.Open, states)
				assert.LessOrEqual(t, uint64(info.Open)+ends, uint64(dialers*each))
				assert.GreaterOrEqual(t, info.Read, read)
				assert.GreaterOrEqual(t, info.Written, written)
				assert.GreaterOrEqual(t, ends, ended)
				assert.LessOrEqual(t, info.Read, uint64(5*dialers*each))
				read, written, ended = info.Read, info.Written, ends
				select {
				case <-stop:
					if looks > 0 {
						return
					}
				default:
				}
			}
		}()
		for range dialers {
			storm.Go(func() {
				for range each {
					c, err := net.Dial("tcp", l.Addr().String())
					if !assert.NoError(t, err) {
						return
					}
					_, _ = c.Write([]byte("hello"))
					_, _ = c.Read(make([]byte, 5))
					_ = c.Close()
				}
			})
		}
		storm.Wait()
		require.NoError(t, l.WaitConnections(within(t, patience), exactly(0)))
		close(stop)
		<-done
		info := l.Info()
		assert.EqualValues(t, 5*dialers*each, info.Read)
		total := uint64(0)
		for _, n := range info.Ended {
			total += n
		}
		assert.EqualValues(t, dialers*each, total)
	})
}

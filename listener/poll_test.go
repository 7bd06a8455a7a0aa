//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// overSockets runs a test with the poll transport over each kind of socket; listen starts a
// listener there.
func overSockets(t *testing.T, test func(t *testing.T, w *world, listen func(tcpactor.Factory, Options) *Listener)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			w := newWorld()
			test(t, w, func(factory tcpactor.Factory, o Options) *Listener {
				o.Transport, o.Network = Poll, network
				addr := anyPort
				if network == "unix" {
					addr = filepath.Join(t.TempDir(), "socket")
				}
				l, err := Listen(w.Root, addr, factory, o)
				require.NoError(t, err)
				t.Cleanup(func() {
					_ = l.Close()
					<-l.Done()
					assert.Empty(t, w.actors())
				})
				return l
			})
		})
	}
}

// converse sends messages of all sizes and requires the same bytes back. It may be called on any
// goroutine.
func converse(t *testing.T, c net.Conn, seed uint64, messages int) bool {
	random := rand.New(rand.NewPCG(seed, 1))
	_ = c.SetDeadline(time.Now().Add(patience))
	for range messages {
		sent := make([]byte, 1+random.IntN(5000))
		for i := range sent {
			sent[i] = byte(random.Uint32())
		}
		if _, err := c.Write(sent); !assert.NoError(t, err) {
			return false
		}
		got := make([]byte, len(sent))
		if _, err := io.ReadFull(c, got); !assert.NoError(t, err) {
			return false
		}
		if !assert.True(t, bytes.Equal(sent, got), "other bytes than were sent") {
			return false
		}
	}
	return true
}

func TestWithAnyNumberOfWorkersEveryByteComesBack(t *testing.T) {
	for workers := 1; workers <= 4; workers++ {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			overSockets(t, func(t *testing.T, _ *world, listen func(tcpactor.Factory, Options) *Listener) {
				l := listen(of(&echo{}), Options{Workers: workers})
				var all sync.WaitGroup
				for i := range 20 {
					c := dial(t, l)
					all.Go(func() { converse(t, c, uint64(i), 30) })
				}
				all.Wait()
				assert.Equal(t, 20, l.Info().Open)
			})
		})
	}
}

// cpu is the processor time that the process has used so far.
func cpu(t *testing.T) time.Duration {
	var usage unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// silent pauses as it begins.
type silent struct{ echo }

func (s *silent) Accepted(socket protocol.Socket) error {
	socket.Pause()
	return s.echo.Accepted(socket)
}

// A loop that asks again and again would use all of a core.
func TestAPausedConnectionCostsNothingWhateverWaitsForIt(t *testing.T) {
	overSockets(t, func(t *testing.T, _ *world, listen func(tcpactor.Factory, Options) *Listener) {
		handler := &silent{*newEcho()}
		l := listen(of(handler), Options{Connection: connection.Options{CloseTimeout: 50 * time.Millisecond}})
		const clients = 10
		var peers [clients]net.Conn
		var sockets []protocol.Socket
		for i := range peers {
			peers[i] = dial(t, l)
			_, err := io.WriteString(peers[i], "waits")
			require.NoError(t, err)
			require.NoError(t, peers[i].(interface{ CloseWrite() error }).CloseWrite())
			sockets = append(sockets, receive(t, handler.accepted))
		}
		time.Sleep(50 * time.Millisecond)
		const while = 400 * time.Millisecond
		before := cpu(t)
		time.Sleep(while)
		assert.Less(t, cpu(t)-before, while/4)
		for _, s := range sockets {
			s.Resume()
		}
		for _, c := range peers {
			_ = c.SetDeadline(time.Now().Add(patience))
			got, err := io.ReadAll(c)
			require.NoError(t, err)
			assert.Equal(t, "waits", string(got), "nothing was lost meanwhile")
		}
		before = cpu(t)
		time.Sleep(while)
		assert.Less(t, cpu(t)-before, while/4, "nor afterwards")
	})
}

// Numbers of descriptors pass from one connection to the next within microseconds. No event and no
// byte may pass with them.
func TestDescriptorsUsedAgainAtOnceMixNothingUp(t *testing.T) {
	overSockets(t, func(t *testing.T, _ *world, listen func(tcpactor.Factory, Options) *Listener) {
		const clients, each = 8, 625
		l := listen(of(&echo{}), Options{Workers: 4})
		before := descriptors()
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), 2))
				for range each {
					if !quick(t, l, random) {
						return
					}
				}
			})
		}
		all.Wait()
		eventually(t, func() bool { return l.Info().Open == 0 && descriptors() <= before }) // some may still be in the backlog
		assert.InDelta(t, clients*each, l.Info().Accepted, 50, "who resets at once may be gone before he is accepted")
	})
}

// quick is a connection that sends one message and ends, in one of several ways.
func quick(t *testing.T, l *Listener, random *rand.Rand) bool {
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if !assert.NoError(t, err) {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	sent := fmt.Appendf(nil, "%016x", random.Uint64())
	if _, err = c.Write(sent); !assert.NoError(t, err) {
		return false
	}
	tcp, isTCP := c.(*net.TCPConn)
	leave := random.IntN(4)
	if leave == 0 {
		if isTCP {
			_ = tcp.SetLinger(0)
		}
		return true // without waiting for the answer
	}
	got := make([]byte, len(sent))
	_, err = io.ReadFull(c, got)
	if !assert.NoError(t, err) || !assert.Equal(t, string(sent), string(got)) {
		return false
	}
	if leave == 1 && isTCP {
		_ = tcp.SetLinger(0)
	}
	return true
}

// flood writes until it is refused, and counts.
type flood struct {
	echo
	accepted chan uint64
}

func (f *flood) Data(s protocol.Socket, b *protocol.Buffer) error {
	b.Discard(b.Len())
	var n uint64
	for piece := make([]byte, 64<<10); ; n += uint64(len(piece)) {
		if _, err := s.Write(piece); err != nil {
			break
		}
	}
	f.accepted <- n
	return nil
}

func TestAResetWhileWritesAreQueuedEndsTheConnectionAndCountsThem(t *testing.T) {
	w := newWorld()
	handler := &flood{echo: *newEcho(), accepted: make(chan uint64, 1)}
	l := w.listen(t, of(handler), Options{Transport: Poll, SendBufferSize: 8 << 10, RecvBufferSize: 8 << 10,
		Connection: connection.Options{WriteBufferSize: 16 << 20, WriteQueueSize: 1 << 10}})
	for range 5 {
		c := dial(t, l)
		_, err := c.Write([]byte("go"))
		require.NoError(t, err)
		accepted := receive(t, handler.accepted)
		require.NoError(t, c.(*net.TCPConn).SetLinger(0))
		require.NoError(t, c.Close())
		closed := receive(t, handler.closed)
		assert.Equal(t, protocol.ReasonPeerReset, closed.Reason)
		assert.Positive(t, closed.Stats.Unsent)
		assert.Equal(t, accepted, closed.Stats.Written+closed.Stats.Unsent)
	}
}

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"crypto/tls"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// openFiles returns what the process has open, by kind: epoll, eventfd, sockets.
func openFiles() map[string]int {
	kinds := map[string]int{}
	files, _ := os.ReadDir("/proc/self/fd")
	for _, f := range files {
		target, err := os.Readlink("/proc/self/fd/" + f.Name())
		if err != nil {
			continue // the directory itself
		}
		kind, _, _ := strings.Cut(target, ":[")
		kinds[kind]++
	}
	return kinds
}

func TestAPollListenerThatEndedLeavesNoDescriptorOfAnyKind(t *testing.T) {
	warm := newWorld()
	l, err := Listen(warm.Root, anyPort, of(newEcho()), Options{Transport: Stream}) // the runtime's own poll set
	require.NoError(t, err)
	require.NoError(t, l.Close())
	for name, finish := range map[string]func(*Listener) error{
		"Close":    (*Listener).Close,
		"Shutdown": func(l *Listener) error { return l.Shutdown(within(t, patience)) },
	} {
		t.Run(name, func(t *testing.T) {
			before := openFiles()
			overSockets(t, func(t *testing.T, w *world, listen func(tcpactor.Factory, Options) *Listener) {
				o := Options{Connection: brisk}
				l := listen(of(newEcho()), o)
				for range 5 {
					echoes(t, dial(t, l))
				}
				left := dial(t, l)
				echoes(t, left)
				require.NoError(t, left.Close())
				require.NoError(t, finish(l))
			})
			eventually(t, func() bool { now := openFiles(); return assert.ObjectsAreEqual(before, now) })
		})
	}
}

func TestAUnixListenerKeepsTheCapTheSuspensionAndItsPath(t *testing.T) {
	for _, whenFull := range []WhenFull{Wait, Reject} {
		w := newWorld()
		path := filepath.Join(t.TempDir(), "socket")
		l, err := Listen(w.Root, path, of(newEcho()), Options{Transport: Poll, Network: "unix", MaxConnections: 2, WhenFull: whenFull})
		require.NoError(t, err)
		first, second := dial(t, l), dial(t, l)
		echoes(t, first)
		echoes(t, second)
		third := dial(t, l)
		if whenFull == Reject {
			_ = ends(third)
			assert.EqualValues(t, 1, l.Info().Refused[protocol.RefusalFull])
		} else {
			_, err = io.WriteString(third, "hello")
			require.NoError(t, err)
			echoes(t, second)
			assert.EqualValues(t, 2, l.Info().Accepted)
			require.NoError(t, first.Close())
			p := make([]byte, 5)
			_, err = io.ReadFull(third, p)
			require.NoError(t, err)
		}
		_ = first.Close()
		_ = third.Close()
		eventually(t, func() bool { return l.Info().Open == 1 })

		l.Suspend()
		waiting := dial(t, l)
		accepted := l.Info().Accepted
		for range 20 {
			echoes(t, second)
		}
		assert.Equal(t, accepted, l.Info().Accepted)
		require.NoError(t, l.Resume())
		echoes(t, waiting)

		restart(w, w.find(t, l, 2, ""))
		_ = waiting.Close()
		eventually(t, func() bool { return l.Info().Open == 1 })
		echoes(t, dial(t, l))
		require.NoError(t, l.Close())
		_, err = os.Stat(path)
		require.ErrorIs(t, err, os.ErrNotExist, "the path goes with the listener")
		assert.Empty(t, w.actors())
	}
}

// Each incarnation of the acceptor has a mailbox of its own; a client must not be lost between two.
func TestAnAcceptorRestartedAllTheTimeMissesNoClient(t *testing.T) {
	overSockets(t, func(t *testing.T, w *world, listen func(tcpactor.Factory, Options) *Listener) {
		l := listen(of(&echo{}), Options{})
		var stop atomic.Bool
		defer stop.Store(true)
		var kills atomic.Int32
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; !stop.Load(); i++ {
				for _, id := range w.actors() {
					if strings.Count(id, "/") != 1 || strings.HasSuffix(id, "connections") {
						continue
					}
					if i%50 != 0 {
						restart(w, w.NewLocalPID(id))
					} else {
						w.Root.Stop(w.NewLocalPID(id)) // now and then: it comes back with back-off
					}
					kills.Add(1)
				}
				time.Sleep(time.Duration(i%5) * 100 * time.Microsecond)
			}
		}()
		for n := 0; n < 300 || kills.Load() < 10; n++ {
			c := dial(t, l)
			echoes(t, c)
			_ = c.Close()
		}
		stop.Store(true)
		<-done
		assert.Empty(t, published[*AcceptFailed](w))
	})
}

// hold does what a race does now and then: the last permit went to another client between the look
// and the accept.
func hold(t *testing.T, l *Listener) {
	t.Helper()
	a := l.server.polling.acceptors()[0]
	eventually(t, func() bool {
		socket, _ := a.current()
		socket.Look()
		conn, err := socket.Accept(a.loop.set)
		if err != nil {
			return false
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.held = append(a.held, pollClient{conn, 0})
		return true
	})
}

func TestAHeldClientIsServedOnceAPlaceIsFree(t *testing.T) {
	w := newWorld()
	l := w.listen(t, of(newEcho()), Options{Transport: Poll, MaxConnections: 1})
	first := dial(t, l)
	echoes(t, first)
	second, third := dial(t, l), dial(t, l)
	hold(t, l)
	_ = first.Close()
	echoes(t, second)
	_ = second.Close()
	echoes(t, third)
}

func TestAHeldClientOfThePollTransportEndsWithTheListener(t *testing.T) {
	w := newWorld()
	l := w.listen(t, of(newEcho()), Options{Transport: Poll, MaxConnections: 1})
	echoes(t, dial(t, l))
	second := dial(t, l)
	hold(t, l)
	require.NoError(t, l.Close())
	require.NotErrorIs(t, ends(second), os.ErrDeadlineExceeded)
}

// A second handshake within a read needs a goroutine that may wait.
func TestADialledTLSConnectionIsPolledUnlessItMayBeRenegotiated(t *testing.T) {
	l := newWorld().listen(t, of(newEcho()), Options{})
	for want, config := range map[transport.Conn]*tls.Config{
		(*transport.Poll)(nil):    nil,
		(*transport.PollTLS)(nil): {MinVersion: tls.VersionTLS12},
		(*transport.Stream)(nil):  {MinVersion: tls.VersionTLS12, Renegotiation: tls.RenegotiateOnceAsClient},
	} {
		socket, _, err := l.server.transportOf(dial(t, l), config)
		require.NoError(t, err)
		assert.IsType(t, want, socket)
		socket.Abort()
	}
}

// Clients that are accepted faster than earlier ones end would pile up, and every connection would
// wait for all of them.
func TestABacklogIsAcceptedNoFasterThanItsConnectionsEnd(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the backlog holds fewer clients")
	}
	const clients = 2000
	var open, most, ended atomic.Int64
	w, o := newWorld(), Options{Transport: Poll, Network: "unix"}
	l, err := Listen(w.Root, someAddress(t, o), tcpactor.Functions[int]{
		Accept: func(protocol.Socket) (int, error) {
			most.Store(max(most.Load(), open.Add(1)))
			return 0, nil
		},
		Read: func(_ int, s protocol.Socket, b *protocol.Buffer) (int, error) {
			_, err := s.Forward(b)
			return 0, err
		},
		Close: func(int, *protocol.Closed) {
			open.Add(-1)
			ended.Add(1)
		},
	}, o)
	require.NoError(t, err)
	l.Suspend()
	for range clients {
		require.NoError(t, dial(t, l).Close())
	}
	require.NoError(t, l.Resume())
	eventually(t, func() bool { return ended.Load() == clients })
	assert.Less(t, most.Load(), int64(clients/2))
	require.NoError(t, l.Close())
}

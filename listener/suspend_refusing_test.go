package listener

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
)

// socketKind is a way to listen whose socket can be closed and opened again.
type socketKind struct {
	name    string
	options Options
}

// overEachKind runs a test with each transport and each kind of socket; listen starts a listener
// there.
func overEachKind(t *testing.T, test func(t *testing.T, w *world, listen func(Options) *Listener)) {
	kinds := []socketKind{{"one", Options{}}, {"shared", Options{Acceptors: fourAcceptors}}}
	if reusePortSupported {
		kinds = append(kinds, socketKind{"reuse port", Options{Acceptors: fourAcceptors, ReusePort: true}})
	}
	if runtime.GOOS != "windows" {
		kinds = append(kinds, socketKind{"unix", Options{Network: "unix"}}, socketKind{"unix shared", Options{Network: "unix", Acceptors: 2}})
	}
	overEach(t, func(t *testing.T, o Options) {
		for _, kind := range kinds {
			t.Run(kind.name, func(t *testing.T) {
				w := newWorld()
				test(t, w, func(more Options) *Listener {
					more.Transport, more.Connection = o.Transport, brisk
					more.Network, more.Acceptors, more.ReusePort = kind.options.Network, kind.options.Acceptors, kind.options.ReusePort
					l, err := Listen(w.Root, someAddress(t, more), of(&echo{}), more)
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
	})
}

// someAddress returns an address where no process listens yet.
func someAddress(t *testing.T, o Options) string {
	if o.Network != "unix" {
		return anyPort
	}
	return setup.SocketPath(t)
}

// refused requires that the kernel refuses a client.
func refused(t *testing.T, l *Listener) {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err == nil {
		_ = c.Close()
	}
	require.Error(t, err)
	if l.Addr().Network() == "unix" {
		require.ErrorIs(t, err, os.ErrNotExist, "its path is gone")
	} else if runtime.GOOS != "windows" {
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	}
}

func TestASuspensionCanRefuseClientsAndAResumptionListensOnTheSameAddress(t *testing.T) {
	overEachKind(t, func(t *testing.T, w *world, listen func(Options) *Listener) {
		l := listen(Options{})
		live := dial(t, l)
		echoes(t, live)
		at := l.Addr().String()
		for range 3 {
			require.NoError(t, l.SuspendRefusing())
			require.NoError(t, l.SuspendRefusing(), "twice is the same as once")
			refused(t, l)
			l.Suspend()
			refused(t, l) // it stays so
			assert.False(t, l.Info().Accepting)
			echoes(t, live)
			require.NoError(t, l.Resume())
			require.NoError(t, l.Resume())
			assert.True(t, l.Info().Accepting)
			assert.Equal(t, at, l.Addr().String())
			echoes(t, dial(t, l))
			echoes(t, live)
		}
		assert.Empty(t, published[*AcceptFailed](w), "a suspension is no failure")
		assert.Empty(t, published[*Reopened](w))
	})
}

func TestASuspensionThatRefusesServesTheClientsInTheBacklog(t *testing.T) {
	overEachKind(t, func(t *testing.T, _ *world, listen func(Options) *Listener) {
		l := listen(Options{})
		const rounds, clients = 3, 20
		for range rounds {
			l.Suspend()
			var waiting []net.Conn
			for range clients {
				c := dial(t, l)
				_, err := io.WriteString(c, "hello")
				require.NoError(t, err)
				waiting = append(waiting, c)
			}
			require.NoError(t, l.SuspendRefusing())
			refused(t, l)
			for _, c := range waiting {
				_ = c.SetDeadline(time.Now().Add(patience))
				p := make([]byte, 5)
				_, err := io.ReadFull(c, p)
				require.NoError(t, err)
				require.NoError(t, c.Close())
			}
			require.NoError(t, l.Resume())
		}
		assert.EqualValues(t, rounds*clients, l.Info().Accepted)
	})
}

// The cap holds while a client waits for a permit.
func TestASuspensionThatRefusesKeepsTheCap(t *testing.T) {
	overEachKind(t, func(t *testing.T, _ *world, listen func(Options) *Listener) {
		l := listen(Options{MaxConnections: 2})
		first, second := dial(t, l), dial(t, l)
		echoes(t, first)
		echoes(t, second)
		var others []net.Conn
		for range 5 {
			others = append(others, dial(t, l))
		}
		require.NoError(t, l.SuspendRefusing())
		for _, c := range others {
			assert.NotErrorIs(t, ends(c), os.ErrDeadlineExceeded, "no client is left between its accept and its handler")
		}
		assert.Equal(t, 2, l.Info().Open)
		echoes(t, first)
		require.NoError(t, first.Close())
		require.NoError(t, second.Close())
		eventually(t, func() bool { return l.Info().Open == 0 })
		require.NoError(t, l.Resume())
		echoes(t, dial(t, l))
	})
}

func TestAResumptionFailsIfTheAddressIsTakenAndCanBeTriedAgain(t *testing.T) {
	overEachKind(t, func(t *testing.T, w *world, listen func(Options) *Listener) {
		l := listen(Options{})
		live := dial(t, l)
		echoes(t, live)
		require.NoError(t, l.SuspendRefusing())
		other, err := net.Listen(l.Addr().Network(), l.Addr().String())
		require.NoError(t, err)
		before := descriptors()
		for range 3 {
			err = l.Resume()
			require.ErrorIs(t, err, syscall.EADDRINUSE)
			assert.True(t, strings.HasPrefix(err.Error(), "berth: "), err.Error())
			assert.NotContains(t, err.Error(), "\n")
			assert.False(t, l.Info().Accepting)
		}
		assert.Equal(t, before, descriptors())
		echoes(t, live)
		require.NoError(t, other.Close())
		require.NoError(t, l.Resume())
		echoes(t, dial(t, l))
		assert.Empty(t, published[*AcceptFailed](w))
	})
}

// answer asks a listener by message, with an Ack, and returns the error of its Done.
func answer(t *testing.T, w *world, l *Listener, message any, ack any) error {
	t.Helper()
	reply, err := w.Root.RequestFuture(l.PID(), message, patience).Result()
	require.NoError(t, err)
	done := reply.(*protocol.Done)
	assert.Equal(t, ack, done.Ack)
	return done.Err
}

func TestASuspensionThatRefusesCanBeAskedForByMessage(t *testing.T) {
	overEachKind(t, func(t *testing.T, w *world, listen func(Options) *Listener) {
		l := listen(Options{})
		require.NoError(t, answer(t, w, l, &protocol.SuspendAccepting{Refuse: true, Ack: 1}, 1))
		refused(t, l)
		other, err := net.Listen(l.Addr().Network(), l.Addr().String())
		require.NoError(t, err)
		require.ErrorIs(t, answer(t, w, l, &protocol.ResumeAccepting{Ack: "a"}, "a"), syscall.EADDRINUSE)
		assert.Empty(t, published[*AcceptFailed](w))
		w.Root.Send(l.PID(), &protocol.ResumeAccepting{}) // no sender gets the error: it becomes an event
		eventually(t, func() bool { return len(published[*AcceptFailed](w)) == 1 })
		require.ErrorIs(t, published[*AcceptFailed](w)[0].Err, syscall.EADDRINUSE)
		assert.Zero(t, published[*AcceptFailed](w)[0].Wait)
		require.NoError(t, other.Close())
		require.NoError(t, answer(t, w, l, &protocol.ResumeAccepting{Ack: 2}, 2))
		echoes(t, dial(t, l))
		require.NoError(t, answer(t, w, l, &protocol.SuspendAccepting{Ack: 3}, 3))
		assert.False(t, l.Info().Accepting)
	})
}

func TestAListenerMadeByServeCannotRefuseAndStaysAsItIs(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		inner, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		l, err := Serve(w.Root, inner, of(&echo{}), o)
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		const text = "berth: a listener made by Serve cannot refuse clients: its socket could not be opened again"
		require.EqualError(t, l.SuspendRefusing(), text)
		require.EqualError(t, answer(t, w, l, &protocol.SuspendAccepting{Refuse: true, Ack: 1}, 1), text)
		assert.True(t, l.Info().Accepting)
		echoes(t, dial(t, l))
	})
}

func TestARefusingListenerCanBeShutDownAndThenNothingOpensItAgain(t *testing.T) {
	overEachKind(t, func(t *testing.T, _ *world, listen func(Options) *Listener) {
		l := listen(Options{})
		c := dial(t, l)
		echoes(t, c)
		require.NoError(t, l.SuspendRefusing())
		require.NoError(t, c.Close())
		require.NoError(t, l.Shutdown(within(t, patience)))
		require.ErrorIs(t, l.Resume(), ErrClosed)
		require.ErrorIs(t, l.SuspendRefusing(), ErrClosed)
		l.Suspend()
		require.ErrorIs(t, l.Resume(), ErrClosed)
		assert.False(t, l.Info().Accepting)
		refused(t, l)
	})
}

func TestAnAcceptorThatIsKilledWhileItsListenerRefusesComesBack(t *testing.T) {
	overEachKind(t, func(t *testing.T, w *world, listen func(Options) *Listener) {
		l := listen(Options{})
		require.NoError(t, l.SuspendRefusing())
		eventually(t, func() bool { return len(w.acceptors(l)) == max(l.Options().Acceptors, 1) })
		for i, pid := range w.acceptors(l) {
			if i%2 == 0 {
				w.Root.Stop(pid)
			} else {
				restart(w, pid)
			}
		}
		eventually(t, func() bool { return len(published[*AcceptorFailed](w)) > 0 })
		refused(t, l)
		require.NoError(t, l.Resume())
		serveAll(t, l, 2, 5)
	})
}

// Two hundred changes leave what there was before: no descriptor, no path, no goroutine (TestMain
// looks).
func TestAHundredSuspensionsLeaveNoDescriptor(t *testing.T) {
	overEachKind(t, func(t *testing.T, _ *world, listen func(Options) *Listener) {
		l := listen(Options{})
		live := dial(t, l)
		echoes(t, live)
		before := descriptors()
		for i := range 100 {
			if i%2 == 0 {
				l.Suspend()
			}
			require.NoError(t, l.SuspendRefusing())
			require.NoError(t, l.Resume())
			if i%10 == 0 {
				c := dial(t, l)
				echoes(t, c)
				require.NoError(t, c.Close())
			}
		}
		eventually(t, func() bool { return l.Info().Open == 1 })
		eventually(t, func() bool { return descriptors() <= before })
		echoes(t, live)
		require.NoError(t, l.Close())
		if l.Addr().Network() == "unix" {
			_, err := os.Stat(l.Addr().String())
			require.ErrorIs(t, err, os.ErrNotExist)
		}
	})
}

// All calls run at once, with a shutdown in the middle.
func TestManySuspensionsAndResumptionsAtOnceLoseNoClientAndLeaveNothing(t *testing.T) {
	overEachKind(t, func(t *testing.T, _ *world, listen func(Options) *Listener) {
		before := descriptors()
		l := listen(Options{})
		live := dial(t, l)
		echoes(t, live)
		var stop, closing atomic.Bool
		var dials atomic.Int64
		orEnded := func(err error) {
			if err != ErrClosed || !closing.Load() {
				assert.NoError(t, err)
			}
		}
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), 3))
				for !stop.Load() {
					switch random.IntN(4) {
					case 0:
						l.Suspend()
					case 1:
						orEnded(l.SuspendRefusing())
					default:
						orEnded(l.Resume())
					}
					if dials.Add(1) > 1000 {
						continue // more could outrun the server: a SuspendRefusing accepts the whole backlog
					}
					if c, err := net.Dial(l.Addr().Network(), l.Addr().String()); err == nil {
						_ = c.Close()
					}
				}
			})
		}
		for range 50 {
			echoes(t, live)
		}
		ended := make(chan error, 1)
		closing.Store(true)
		go func() { ended <- l.Close() }()
		require.NoError(t, receive(t, ended))
		stop.Store(true)
		all.Wait()
		_ = live.Close()
		refused(t, l)
		eventually(t, func() bool { return descriptors() <= before })
	})
}

// A subscriber that sheds load suspends in the call that publishes the refusal: on the acceptor's
// own turn, or on that of a suspension.
func TestASubscriberCanSuspend(t *testing.T) {
	overEachKind(t, func(t *testing.T, w *world, listen func(Options) *Listener) {
		l := listen(Options{MaxConnections: 1, WhenFull: Reject})
		live := dial(t, l)
		echoes(t, live)
		var suspensions atomic.Int32
		w.EventStream.Subscribe(func(event any) {
			if _, rejected := event.(*Rejected); rejected {
				assert.NoError(t, l.SuspendRefusing())
				suspensions.Add(1)
			}
		})
		const rounds, clients = 3, 5
		for round := range rounds {
			l.Suspend()
			for range clients {
				_ = dial(t, l)
			}
			require.NoError(t, l.SuspendRefusing())
			eventually(t, func() bool { return suspensions.Load() == int32(clients*(round+1)+round) })
			refused(t, l)
			require.NoError(t, l.Resume())
			_ = ends(dial(t, l)) // turned away, by an acceptor
			eventually(t, func() bool { return suspensions.Load() == int32((clients+1)*(round+1)) })
			refused(t, l)
			require.NoError(t, l.Resume())
		}
		echoes(t, live)
	})
}

package listener

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

func TestTheNumberOfAcceptorsCanChangeWhileTheListenerRuns(t *testing.T) {
	overEachKind(t, func(t *testing.T, w *world, listen func(Options) *Listener) {
		l := listen(Options{})
		o := l.Options()
		if o.ReusePort {
			o.Acceptors = 7
			require.EqualError(t, l.SetOptions(o), "berth: a running listener cannot change Acceptors with ReusePort")
			return
		}
		live := dial(t, l)
		echoes(t, live)
		before := descriptors()
		for _, n := range []int{5, 2, 3, 1, 4, 0} {
			o.Acceptors = n
			require.NoError(t, l.SetOptions(o))
			eventually(t, func() bool { return len(w.acceptors(l)) == max(n, 1) })
			for range 10 {
				c := dial(t, l)
				echoes(t, c)
				_ = c.Close()
			}
			echoes(t, live)
		}
		eventually(t, func() bool { return descriptors() <= before+2 })
		assert.Empty(t, published[*AcceptFailed](w))
		assert.Empty(t, published[*AcceptorFailed](w))

		require.NoError(t, l.SuspendRefusing())
		o.Acceptors = 3
		require.NoError(t, l.SetOptions(o))
		eventually(t, func() bool { return len(w.acceptors(l)) == 3 })
		refused(t, l)
		require.NoError(t, l.Resume())
		for range 10 {
			echoes(t, dial(t, l))
		}
	})
}

// However the number changes, no connected client is lost, and none is served by an acceptor that
// has gone.
func TestNoClientIsLostWhileTheNumberOfAcceptorsChanges(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		const clients, each = 10, 20
		o.MaxConnections = 4
		l := newWorld().listen(t, of(newEcho()), o)
		var storm sync.WaitGroup
		for range clients {
			storm.Go(func() {
				for range each {
					c, err := net.Dial("tcp", l.Addr().String())
					if !assert.NoError(t, err) {
						return
					}
					_ = c.SetDeadline(time.Now().Add(patience))
					_, err = c.Write([]byte("x"))
					assert.NoError(t, err)
					_, err = io.ReadFull(c, make([]byte, 1))
					assert.NoError(t, err)
					_ = c.Close()
				}
			})
		}
		stop, changed := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(changed)
			for n := 1; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				o.Acceptors = 1 + n*7%5
				assert.NoError(t, l.SetOptions(o))
			}
		}()
		storm.Wait()
		close(stop)
		<-changed
	})
}

// An acceptor that waits to be made anew is not, if it is one too many then.
func TestAnAcceptorThatIsTooManyDoesNotComeBack(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Acceptors = 3
		l := w.listen(t, of(newEcho()), o)
		echoes(t, dial(t, l))
		for _, pid := range w.acceptors(l) {
			w.Root.Stop(pid)
		}
		o.Acceptors = 1
		require.NoError(t, l.SetOptions(o))
		eventually(t, func() bool { return len(published[*AcceptorFailed](w)) > 0 })
		eventually(t, func() bool { return len(w.acceptors(l)) == 1 })
		time.Sleep(20 * time.Millisecond) // what would come back does so within 5 ms
		assert.Len(t, w.acceptors(l), 1)
		echoes(t, dial(t, l))
	})
}

func TestTheHandlerCanBeReplacedForNewConnections(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Connection.RestartHandler = connection.RestartHandler{Max: 1}
		l := w.listen(t, of(voice("one")), o)
		first := dial(t, l)
		ask := func(c net.Conn) string {
			_ = c.SetDeadline(time.Now().Add(patience))
			send(t, c, "?")
			p := make([]byte, 3)
			_, err := io.ReadFull(c, p)
			require.NoError(t, err)
			return string(p)
		}
		require.Equal(t, "one", ask(first))
		require.NoError(t, l.SetHandler(of(voice("two"))))
		second := dial(t, l)
		assert.Equal(t, "two", ask(second))
		assert.Equal(t, "one", ask(first))
		require.NoError(t, l.SetOptions(o), "which leaves the handler alone")
		assert.Equal(t, "two", ask(dial(t, l)))

		read := func(_ struct{}, s protocol.Socket, b *protocol.Buffer) (struct{}, error) {
			b.Discard(b.Len())
			_, err := s.Write([]byte("fun"))
			return struct{}{}, err
		}
		require.NoError(t, l.SetHandler(tcpactor.Functions[struct{}]{Read: read}))
		assert.Equal(t, "fun", ask(dial(t, l)))
		assert.Equal(t, "two", ask(second))

		require.EqualError(t, l.SetHandler(nil), "berth: no handler: give one of HandlerFunc, Handlers, Functions, Actors")
		require.Error(t, l.SetHandler(tcpactor.Functions[struct{}]{}))
		assert.Equal(t, "fun", ask(dial(t, l)))
		require.NoError(t, l.Close())
		require.ErrorIs(t, l.SetHandler(of(voice("end"))), net.ErrClosed)
	})
}

// panicky panics for every word.
type panicky struct{ voice }

func (panicky) Data(protocol.Socket, *protocol.Buffer) error { panic("oh") }

// A handler that is made anew comes from the factory that the connection had.
func TestAHandlerThatPanicsIsReplacedByOneOfItsOwnFactory(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		o.Connection.RestartHandler = connection.RestartHandler{Max: 1}
		made := 0
		old := tcpactor.Handlers(func() tcpactor.Handler {
			made++
			if made == 1 {
				return panicky{}
			}
			return voice("old")
		})
		l := newWorld().listen(t, old, o)
		c := dial(t, l)
		eventually(t, func() bool { return l.Info().Open == 1 })
		require.NoError(t, l.SetHandler(of(voice("new"))))
		_ = c.SetDeadline(time.Now().Add(patience))
		send(t, c, "?")
		p := make([]byte, 3)
		_, err := io.ReadFull(c, p)
		require.NoError(t, err)
		assert.Equal(t, "old", string(p))
	})
}

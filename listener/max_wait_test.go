package listener

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/faultnet"
)

// inAQueue is a bubble in which one connection takes the only permit.
func inAQueue(t *testing.T, o Options, test func(t *testing.T, w *world, l *Listener, first net.Conn, dial func() net.Conn)) {
	o.MaxWait, o.Connection = time.Minute, brisk
	if o.MaxConnections == 0 {
		o.MaxConnections = 1
	}
	inABubble(t, o, func(t *testing.T, w *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		first := dial()
		echoes(t, first)
		test(t, w, l, first, dial)
	})
}

// hears returns what has come from the server so far, and whether that was all.
func hears(c net.Conn) (text string, ended bool) {
	synctest.Wait()
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	b, err := io.ReadAll(c)
	return string(b), err == nil
}

func TestAClientWaitsForAPlaceForAsLongAsMaxWaitAndIsThenTurnedAway(t *testing.T) {
	o := Options{RejectMessage: []byte(busy)}
	inAQueue(t, o, func(t *testing.T, w *world, l *Listener, first net.Conn, dial func() net.Conn) {
		second := dial()
		time.Sleep(time.Second)
		third := dial()
		synctest.Wait()
		assert.Equal(t, 2, l.Info().Waiting)
		time.Sleep(59*time.Second - 2*time.Millisecond)
		text, ended := hears(second)
		assert.Empty(t, text)
		assert.False(t, ended)
		time.Sleep(time.Millisecond)
		text, ended = hears(second)
		assert.Equal(t, busy, text)
		assert.True(t, ended)
		assert.Equal(t, 1, l.Info().Waiting)
		assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalFull: 1}, l.Info().Refused)
		assert.Len(t, published[*Rejected](w), 1)

		_ = first.Close()
		echoes(t, third)
		assert.Zero(t, l.Info().Waiting)
		time.Sleep(time.Hour)
		echoes(t, third)
	})
}

func TestTheClientThatCameFirstGetsTheNextPlace(t *testing.T) {
	inAQueue(t, Options{}, func(t *testing.T, _ *world, l *Listener, first net.Conn, dial func() net.Conn) {
		var queue []net.Conn
		for range 5 {
			queue = append(queue, dial())
			synctest.Wait()
		}
		before := first
		for _, next := range queue {
			_ = before.Close()
			synctest.Wait()
			assert.Equal(t, 1, l.Info().Open)
			echoes(t, next)
			before = next
		}
	})
}

func TestNoMoreClientsWaitThanMay(t *testing.T) {
	o := Options{RejectMessage: []byte(busy)}
	inAQueue(t, o, func(t *testing.T, _ *world, l *Listener, _ net.Conn, dial func() net.Conn) {
		most := l.server.options().mostQueued()
		for range most {
			dial()
			synctest.Wait()
		}
		assert.Equal(t, most, l.Info().Waiting)
		text, ended := hears(dial())
		assert.Equal(t, busy, text)
		assert.True(t, ended)
		assert.Equal(t, most, l.Info().Waiting)
	})
	files := int(openFilesLimit())
	if files == 0 {
		t.Skip("no limit is known here")
	}
	assert.Equal(t, 1, (&Options{MaxConnections: unlimited}).mostQueued(), "no descriptor is left over")
	assert.Equal(t, 1, (&Options{MaxConnections: files}).mostQueued())
	assert.Equal(t, min(1024, 5), (&Options{MaxConnections: files - 10}).mostQueued())
	assert.LessOrEqual(t, (&Options{MaxConnections: 1}).mostQueued(), 1024)
}

func TestAClientWaitsForTheRateToo(t *testing.T) {
	o := Options{MaxConnections: 10, AcceptRate: 1. / 40}
	inAQueue(t, o, func(t *testing.T, _ *world, l *Listener, _ net.Conn, dial func() net.Conn) {
		second, third := dial(), dial()
		time.Sleep(40*time.Second - 1)
		synctest.Wait()
		assert.Equal(t, 2, l.Info().Waiting)
		time.Sleep(1)
		synctest.Wait()
		echoes(t, second)
		assert.Equal(t, 1, l.Info().Waiting)
		time.Sleep(20 * time.Second)
		_, ended := hears(third)
		assert.True(t, ended)
		assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalRate: 1}, l.Info().Refused)
	})
}

func TestAClientThatIsDeniedDoesNotWait(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		o.MaxConnections, o.MaxWait, o.MaxConnectionsPerIP = 1, patience, 1
		l := newWorld().listen(t, of(newEcho()), o)
		echoes(t, dial(t, l))
		require.NoError(t, ends(dial(t, l)))
		assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalPerIP: 1}, l.Info().Refused)
	})
}

func TestASuspendedListenerServesNoClientThatWaits(t *testing.T) {
	inAQueue(t, Options{RejectMessage: []byte(busy)}, func(t *testing.T, _ *world, l *Listener, first net.Conn, dial func() net.Conn) {
		second := dial()
		synctest.Wait()
		l.Suspend()
		_ = first.Close()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		assert.Equal(t, 1, l.Info().Waiting)
		require.NoError(t, l.Resume())
		echoes(t, second)
		third := dial()
		synctest.Wait()
		l.Suspend()
		time.Sleep(time.Minute)
		text, _ := hears(third)
		assert.Equal(t, busy, text, "its time runs")
	})
}

// Each way to end the accepting turns away the clients that wait, and leaves nothing.
func TestClientsThatWaitAreTurnedAwayByTheEnd(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for says, end := range map[string]func(l *Listener) error{
			"Close":           (*Listener).Close,
			"Shutdown":        func(l *Listener) error { return l.Shutdown(within(t, patience)) },
			"SuspendRefusing": (*Listener).SuspendRefusing,
		} {
			w := newWorld()
			o.MaxConnections, o.MaxWait, o.RejectMessage, o.Connection = 1, time.Hour, []byte(busy), brisk
			l, err := Listen(w.Root, anyPort, of(newEcho()), o)
			require.NoError(t, err)
			first := dial(t, l)
			echoes(t, first)
			second := dial(t, l)
			eventually(t, func() bool { return l.Info().Waiting == 1 })
			go func() { _ = ends(first); _ = first.Close() }()
			require.NoError(t, end(l), says)
			assert.Equal(t, busy, words(t, second), says)
			require.NoError(t, l.Close(), says)
			assert.Empty(t, w.actors(), says)
		}
	})
}

func TestAChangeOfTheOptionsIsForTheClientsThatWaitToo(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		o.MaxConnections, o.MaxWait = 1, time.Hour
		l := newWorld().listen(t, of(newEcho()), o)
		echoes(t, dial(t, l))
		second := dial(t, l)
		eventually(t, func() bool { return l.Info().Waiting == 1 })
		o.MaxConnections = 2
		require.NoError(t, l.SetOptions(o))
		echoes(t, second)

		third := dial(t, l)
		eventually(t, func() bool { return l.Info().Waiting == 1 })
		o.MaxWait = 50 * time.Millisecond
		require.NoError(t, l.SetOptions(o))
		require.NoError(t, ends(dial(t, l)), "a later client may have less time")
		assert.Equal(t, 1, l.Info().Waiting)
		o.MaxWait = 0
		require.NoError(t, l.SetOptions(o))
		assert.Equal(t, 1, l.Info().Waiting)
		o.WhenFull = Reject
		require.NoError(t, l.SetOptions(o))
		require.NoError(t, ends(third))
	})
}

// The cap holds at every instant, nothing is lost between a permit that comes free and a client
// that waits, and the queue is empty in the end.
func TestInAStormOfClientsThatWaitEachIsServedOrTurnedAway(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		const clients, each, most = 30, 15, 4
		o.MaxConnections, o.MaxWait, o.Acceptors, o.RejectMessage = most, patience, 3, []byte("!")
		handler := &counting{}
		l := newWorld().listen(t, of(handler), o)
		var storm sync.WaitGroup
		var mu sync.Mutex
		answers := map[string]int{}
		for range clients {
			storm.Go(func() {
				for range each {
					c, err := net.Dial("tcp", l.Addr().String())
					if !assert.NoError(t, err) {
						return
					}
					_ = c.SetDeadline(time.Now().Add(2 * patience))
					_, _ = c.Write([]byte("x"))
					p := make([]byte, 1)
					_, err = io.ReadFull(c, p)
					assert.NoError(t, err)
					assert.LessOrEqual(t, l.Info().Open, most)
					_ = c.Close()
					mu.Lock()
					answers[string(p)]++
					mu.Unlock()
				}
			})
		}
		storm.Wait()
		assert.Equal(t, clients*each, answers["x"]+answers["!"])
		assert.GreaterOrEqual(t, answers["x"], clients*each/10)
		assert.LessOrEqual(t, handler.peak.Load(), int64(most))
		assert.EqualValues(t, answers["!"], l.Info().Refused[protocol.RefusalFull])
		eventually(t, func() bool { return l.Info().Open == 0 && l.Info().Waiting == 0 })
		echoes(t, dial(t, l))
	})
}

// A net.Conn of the user's may panic when its turn comes.
func TestAClientThatPanicsWhenItHasWaitedIsGoneAndItsPlaceIsFree(t *testing.T) {
	inABubble(t, Options{MaxConnections: 1, MaxWait: time.Minute, DisableNoDelay: true},
		func(t *testing.T, _ *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
			first := dial()
			echoes(t, first)
			bad := &explosive{}
			l.server.enqueue(bad, netip.Addr{}, func(permit *connection.Permit) { l.server.beginStream(bad, permit) })
			next := dial()
			_ = first.Close()
			echoes(t, next)
			assert.True(t, bad.closed)
		})
}

// explosive panics when it is tuned.
type explosive struct {
	net.Conn
	closed bool
}

func (*explosive) SetNoDelay(bool) error { panic("oh") }
func (*explosive) RemoteAddr() net.Addr  { return nil }
func (e *explosive) Close() error        { e.closed = true; return nil }

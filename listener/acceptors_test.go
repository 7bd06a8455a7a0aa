package listener

import (
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const fourAcceptors = 4

// serveAll connects the given number of clients at a time, again and again, and requires that all
// of them are served.
func serveAll(t *testing.T, l *Listener, atOnce, each int) {
	t.Helper()
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for range each {
				c, err := net.Dial(l.Addr().Network(), l.Addr().String())
				if !assert.NoError(t, err) {
					return
				}
				_ = c.SetDeadline(time.Now().Add(patience))
				_, _ = c.Write([]byte("x"))
				_, err = io.ReadFull(c, make([]byte, 1))
				_ = c.Close()
				if !assert.NoError(t, err) {
					return
				}
			}
		})
	}
	all.Wait()
}

// However few permits there are, a client never waits for a permit that an acceptor without clients
// has.
func TestSeveralAcceptorsOnOneSocketServeAllAndKeepTheCap(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for _, most := range []int{1, 3, 100} {
			w, handler := newWorld(), &counting{}
			o.Acceptors, o.EventLoops, o.Workers, o.MaxConnections = fourAcceptors, 2, 2, most
			l := w.listen(t, of(handler), o)
			assert.Eventually(t, func() bool { return len(w.acceptors(l)) == fourAcceptors }, patience, time.Millisecond)
			serveAll(t, l, 8, 25)
			assert.LessOrEqual(t, handler.peak.Load(), int64(most))
			assert.EqualValues(t, 8*25, l.Info().Accepted)
			eventually(t, func() bool { return l.Info().Open == 0 })
			serveAll(t, l, 1, 2*fourAcceptors)
			require.NoError(t, l.Close())
			assert.Empty(t, published[*AcceptFailed](w))
		}
	})
}

func TestWhileSomeAcceptorsAreKilledTheOthersAccept(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Acceptors = fourAcceptors
		l := w.listen(t, of(&echo{}), o)
		live := dial(t, l)
		echoes(t, live)
		for range 5 {
			for _, pid := range w.acceptors(l)[1:] {
				w.Root.Stop(pid)
			}
			serveAll(t, l, 2, 5)
			echoes(t, live)
			eventually(t, func() bool { return len(w.acceptors(l)) == fourAcceptors })
		}
		for _, pid := range w.acceptors(l) {
			restart(w, pid)
		}
		serveAll(t, l, 2, 5)
		assert.Empty(t, published[*AcceptFailed](w), "to call one back is no failure for the others")
		assert.Zero(t, l.Info().AcceptErrors)
	})
}

func TestSeveralAcceptorsCanBeSuspendedAndShutDown(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Acceptors, o.Connection = fourAcceptors, brisk
		l := w.listen(t, of(&echo{}), o)
		for range 5 {
			accepted := l.Info().Accepted
			l.Suspend()
			waiting := dial(t, l)
			require.NoError(t, l.Resume())
			echoes(t, waiting)
			assert.Equal(t, accepted+1, l.Info().Accepted)
			require.NoError(t, waiting.Close())
		}
		require.NoError(t, l.Shutdown(within(t, patience)))
		assert.Empty(t, w.actors())
		assert.Empty(t, published[*AcceptFailed](w))
		_, err := net.Dial("tcp", l.Addr().String())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
	})
}

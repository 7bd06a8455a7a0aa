package listener

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

func TestWhenFullAClientWaitsUntilAPlaceIsFree(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MaxConnections = 2
		l := w.listen(t, of(newEcho()), o)
		first, second := dial(t, l), dial(t, l)
		echoes(t, first)
		echoes(t, second)
		third := dial(t, l)
		_, err := third.Write([]byte("hello"))
		require.NoError(t, err)
		echoes(t, second)
		assert.Equal(t, 2, l.Info().Open)
		assert.EqualValues(t, 2, l.Info().Accepted, "the third one is with the kernel")
		require.NoError(t, first.Close())
		p := make([]byte, 5)
		_, err = io.ReadFull(third, p)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(p))
		assert.Equal(t, 2, l.Info().Open)
		assert.Empty(t, l.Info().Refused)
	})
}

func TestWhenFullAClientIsTurnedAwayIfItShallNotWait(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MaxConnections, o.WhenFull = 1, Reject
		l := w.listen(t, of(newEcho()), o)
		first := dial(t, l)
		echoes(t, first)
		second := dial(t, l)
		require.NoError(t, ends(second))
		require.Len(t, published[*Rejected](w), 1)
		assert.Equal(t, second.LocalAddr().String(), published[*Rejected](w)[0].RemoteAddr.String())
		info := l.Info()
		assert.Equal(t, 1, info.Open)
		assert.EqualValues(t, 2, info.Accepted)
		assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalFull: 1}, info.Refused)
		assert.Equal(t, protocol.RefusalFull, published[*Rejected](w)[0].Reason)
		require.NoError(t, first.Close())
		eventually(t, func() bool { return l.Info().Open == 0 })
		echoes(t, dial(t, l))
	})
}

// counting counts the connections between Accepted and Closed.
type counting struct {
	echo
	open, peak atomic.Int64
}

func (c *counting) Accepted(protocol.Socket) error {
	n := c.open.Add(1)
	for old := c.peak.Load(); n > old && !c.peak.CompareAndSwap(old, n); old = c.peak.Load() {
	}
	return nil
}

func (c *counting) Closed(protocol.Socket, *protocol.Closed) { c.open.Add(-1) }

func TestInAStormOfClientsThePeakIsTheCapExactly(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		const clients, each, most = 20, 10, 4
		w := newWorld()
		o.MaxConnections = most
		handler := &counting{}
		l := w.listen(t, of(handler), o)
		held := make(chan struct{}) // closed once the cap was reached: until then no connection ends
		var once sync.Once
		var storm sync.WaitGroup
		for range clients {
			storm.Go(func() {
				for range each {
					c, err := net.Dial("tcp", l.Addr().String())
					if !assert.NoError(t, err) {
						return
					}
					_, _ = c.Write([]byte("x"))
					_, err = io.ReadFull(c, make([]byte, 1))
					assert.NoError(t, err)
					if handler.open.Load() == most {
						once.Do(func() { close(held) })
					}
					<-held
					assert.LessOrEqual(t, l.Info().Open, most)
					_ = c.Close()
				}
			})
		}
		storm.Wait()
		assert.EqualValues(t, most, handler.peak.Load())
		eventually(t, func() bool { return handler.open.Load() == 0 && l.Info().Open == 0 })
		assert.EqualValues(t, clients*each, l.Info().Accepted)
	})
}

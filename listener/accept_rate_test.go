package listener

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/faultnet"
)

func TestConnectionsBeginAtTheirRateAfterABurst(t *testing.T) {
	inABubble(t, Options{AcceptRate: 4, AcceptBurst: 2}, func(t *testing.T, _ *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		began := time.Now()
		for range 6 {
			dial()
		}
		for open := 2; open < 6; open++ {
			synctest.Wait()
			assert.Equal(t, open, l.Info().Open)
			assert.EqualValues(t, open, l.Info().Accepted, "the others are with the kernel")
			time.Sleep(time.Second/4 - 1)
			synctest.Wait()
			assert.Equal(t, open, l.Info().Open, "not a moment before")
			time.Sleep(1)
		}
		synctest.Wait()
		assert.Equal(t, 6, l.Info().Open)
		assert.Equal(t, time.Second, time.Since(began))
		assert.Empty(t, l.Info().Refused)
	})
}

func TestClientsAboveTheRateAreTurnedAwayWithReject(t *testing.T) {
	inABubble(t, Options{AcceptRate: 4, AcceptBurst: 2, WhenFull: Reject}, func(t *testing.T, w *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		for range 5 {
			dial()
		}
		synctest.Wait()
		assert.Equal(t, 2, l.Info().Open)
		assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalRate: 3}, l.Info().Refused)
		assert.Equal(t, protocol.RefusalRate, published[*Rejected](w)[0].Reason)
		time.Sleep(250 * time.Millisecond)
		echoes(t, dial())
	})
}

func TestAShutdownDoesNotWaitForTheRate(t *testing.T) {
	inABubble(t, Options{AcceptRate: 0.001, Connection: brisk}, func(t *testing.T, _ *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		c := dial()
		echoes(t, c)
		dial()
		synctest.Wait()
		assert.Equal(t, 1, l.Info().Open)
		_ = c.Close()
		began := time.Now()
		require.NoError(t, l.Shutdown(t.Context()))
		assert.Less(t, time.Since(began), time.Second)
	})
}

// The clock is real here. The rate is so low that the next client would be served in a minute,
// unless the rate is raised.
func TestOverRealSocketsTheRateHoldsToo(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.AcceptRate, o.AcceptBurst = 1.0/60, 3
		l := w.listen(t, of(newEcho()), o)
		var served []net.Conn
		for range 3 {
			served = append(served, dial(t, l))
			echoes(t, served[len(served)-1])
		}
		_, err := dial(t, l).Write([]byte("hello"))
		require.NoError(t, err)
		for range 20 {
			echoes(t, served[0])
		}
		assert.EqualValues(t, 3, l.Info().Accepted)
	})
}

func TestOverRealSocketsClientsThatWaitForTheRateAreServed(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.AcceptRate, o.AcceptBurst = 20, 1
		l := w.listen(t, of(newEcho()), o)
		began := time.Now()
		var all []net.Conn
		for range 4 {
			all = append(all, dial(t, l))
		}
		for _, c := range all {
			echoes(t, c)
		}
		assert.GreaterOrEqual(t, time.Since(began), 3*time.Second/20)
		assert.Empty(t, l.Info().Refused)
	})
}

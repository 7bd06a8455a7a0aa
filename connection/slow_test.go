package connection

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

func TestDroppedWritesAreCountedAndCompleted(t *testing.T) {
	const rounds = 20_000
	dropped := 0
	for round := range rounds {
		c := newConnection(Options{SlowConsumer: SlowDropNewest}, &taker{})
		var ready, begin atomic.Bool
		result := make(chan bool)
		go func() {
			for ready.Store(true); !begin.Load(); {
				yield()
			}
			result <- c.drop(7, func(error) {})
		}()
		for !ready.Load() {
			yield()
		}
		begin.Store(true)
		for range round % 1000 { // now one comes first, now the other
			ready.Store(true)
		}
		if round%100 == 0 {
			yield()
		}
		c.ended()
		counted, due := c.stats(), len(c.completions.get().due)
		if <-result {
			dropped++
			require.EqualValues(t, 7, counted.Dropped)
			require.EqualValues(t, 1, counted.DroppedWrites)
			require.Equal(t, 1, due)
		} else {
			require.Zero(t, c.stats().DroppedWrites)
			require.Empty(t, c.completions.get().due)
		}
	}
	t.Logf("%d of %d came before the end", dropped, rounds)
	assert.Positive(t, dropped)
	assert.Less(t, dropped, rounds)
}

func TestAPolicyThatIsNoneOfTheThreeIsRefused(t *testing.T) {
	err := Options{SlowConsumer: SlowDropNewest + 1}.Validate()
	assert.EqualError(t, err, "berth: SlowConsumer 3 is none of SlowRefuse, SlowClose, SlowDropNewest")
}

func TestOnlySlowDropNewestHidesARefusal(t *testing.T) {
	for policy, want := range map[SlowPolicy]error{
		SlowRefuse: protocol.ErrWriteBufferFull, SlowClose: protocol.ErrWriteBufferFull, SlowDropNewest: nil,
	} {
		c := newConnection(Options{WriteBufferSize: 10, SlowConsumer: policy}, &taker{})
		_, err := c.Write(make([]byte, 6))
		require.NoError(t, err)
		_, err = c.Write(make([]byte, 6))
		assert.Equal(t, want, err)
		_, bytes := c.credit.pending()
		assert.Equal(t, 6, bytes)
		assert.Equal(t, policy == SlowClose, c.signals.Load()&signalSlow != 0)
	}
}

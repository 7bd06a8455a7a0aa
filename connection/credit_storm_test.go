package connection

import (
	"errors"
	"flag"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/report"
)

var creditOperations = flag.Int("credit.operations", 240_000, "how often the storm asks for credit")

// F1: many writers at once, and at every instant neither limit is exceeded. The credit of a writer
// is counted after its reserve and before its release, so the true count is never below the one
// that is checked.
func TestBothLimitsHoldAtEveryInstantUnderManyWriters(t *testing.T) {
	const writers = 8
	began, each := time.Now(), *creditOperations/writers
	var c credit
	l := limits{writes: 5, bytes: 1000, highWater: 600, lowWater: 200}
	var count, size, most atomic.Int64
	var rises, falls, accepted, full, over atomic.Int64
	var storm sync.WaitGroup
	for writer := range writers {
		storm.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(writer)))
			for range each {
				n := random.IntN(400)
				crossed, err := c.reserve(n, &l)
				switch {
				case err == nil:
				case errors.Is(err, protocol.ErrWriteQueueFull):
					full.Add(1)
					continue
				case errors.Is(err, protocol.ErrWriteBufferFull):
					over.Add(1)
					continue
				default:
					assert.NoError(t, err)
					return
				}
				accepted.Add(1)
				if crossed {
					rises.Add(1)
				}
				writes, bytes := count.Add(1), size.Add(int64(n))
				if writes > int64(l.writes) || bytes > int64(l.bytes) {
					assert.Fail(t, "over the limit", "%d writes, %d bytes", writes, bytes)
				}
				most.Store(max(most.Load(), writes))
				if random.IntN(8) == 0 {
					runtime.Gosched() // hold on to it while others come: on few processors none would otherwise
				}
				count.Add(-1)
				size.Add(-int64(n))
				part := random.IntN(n + 1)
				for _, crossed := range []bool{c.release(0, part, &l, noneRefused), c.release(1, n-part, &l, noneRefused)} {
					if crossed {
						falls.Add(1)
					}
				}
			}
		})
	}
	storm.Wait()
	assert.Zero(t, c.word.Load(), "all that was taken came back")
	assert.Equal(t, rises.Load(), falls.Load(), "each rise is followed by a fall")
	assert.EqualValues(t, writers*each, accepted.Load()+full.Load()+over.Load())
	for name, n := range map[string]*atomic.Int64{"accepted": &accepted, "rises": &rises, "more than one at once": &most} {
		require.NotZero(t, n.Load(), name)
	}
	report.Add(t, report.Row{ID: "F1", Holds: "G3 G5", Duration: time.Since(began), Figures: map[string]any{
		"operations": each * writers, "accepted": accepted.Load(), "queue full": full.Load(), "buffer full": over.Load(),
		"rises to high water": rises.Load(), "most at once": most.Load(),
	}})
}

// After the credit is closed, nothing is accepted. Writes that were reserved before are counted,
// all others get the error.
func TestNothingIsAcceptedAfterClose(t *testing.T) {
	const rounds, writers = 500, 4
	l := limits{writes: 1000, bytes: 1000, highWater: 1 << 20}
	for range rounds {
		var c credit
		var accepted atomic.Int64
		var storm sync.WaitGroup
		for range writers {
			storm.Go(func() {
				for {
					if _, err := c.reserve(1, &l); err != nil {
						return
					}
					accepted.Add(1)
				}
			})
		}
		c.close()
		before, _ := c.pending()
		storm.Wait()
		after, _ := c.pending()
		require.Equal(t, before, after)
		require.EqualValues(t, after, accepted.Load())
	}
}

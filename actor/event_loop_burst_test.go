package tcpactor

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// G14 in a burst: many turns that block arrive faster than the monitor can find one. The poller
// gives them out in batches, as the poll set does.

// batches rings the poller so that each Wait finds at most a batch of events.
func batches(b *bell) { b.batch.Store(64) }

func TestABurstOfTurnsThatBlockHoldsTheOthersUpForFewTicks(t *testing.T) {
	for blocking, most := range map[int]time.Duration{8: 5 * tick, 50: 6 * tick, 300: 7 * tick, 1000: 8 * tick, 5000: 12 * tick} {
		for phase := time.Duration(0); phase < tick; phase += tick / 4 {
			inBubble(t, 1, func(t *testing.T, c *EventLoop, b *bell) {
				batches(b)
				after(c)
				time.Sleep(phase)
				release := make(chan struct{})
				began, waited := time.Now(), make(chan time.Duration, 1)
				for range blocking {
					b.ring(func() { c.Schedule(func() { <-release }) })
				}
				b.ring(func() { c.Schedule(func() { waited <- time.Since(began) }) })
				assert.LessOrEqual(t, <-waited, most, "%d at once", blocking)
				time.Sleep(3 * tick)
				assert.Equal(t, blocking, look(c).blocked)
				assert.LessOrEqual(t, look(c).workers, blocking+mostExtra)
				assert.Zero(t, after(c))
				close(release)
			})
		}
	}
}

// The workers that a burst brought in end again: two calm ticks later one worker serves as before.
func TestAfterABurstOneWorkerServesAsBefore(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, b *bell) {
		batches(b)
		release := make(chan struct{})
		for range 300 {
			b.ring(func() { c.Schedule(func() { <-release }) })
		}
		time.Sleep(20 * tick)
		close(release)
		synctest.Wait()
		var most atomic.Int64
		for range 100 {
			c.Schedule(func() {
				now := look(c)
				most.Store(max(most.Load(), int64(now.awake-now.blocked)))
			})
		}
		after(c)
		assert.EqualValues(t, 1, most.Load())
	})
}

// Turns that block one by one, while others work on, need no more than one worker each.
func TestTurnsThatBlockOneByOneBringInNoCrowd(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
		const turns = 200
		release := make(chan struct{})
		time.Sleep(tick / 2) // between two looks of the monitor: each finds one
		for range turns {
			c.Schedule(func() { <-release })
			for range 10 {
				c.Schedule(func() {})
			}
			time.Sleep(tick)
		}
		assert.LessOrEqual(t, look(c).workers, turns+8)
		close(release)
	})
}

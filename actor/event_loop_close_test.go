package tcpactor

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// inBubble checks that nothing is left: a goroutine or timer that remains fails the test.

func TestCloseEndsAnEventLoopWhateverItsWorkersAreDoing(t *testing.T) {
	for name, before := range map[string]func(c *EventLoop, b *bell){
		"asleep": func(*EventLoop, *bell) {},
		"parked": func(c *EventLoop, _ *bell) {
			release := make(chan struct{})
			for range 10 {
				c.Schedule(func() { <-release })
			}
			after(c)
			close(release)
			synctest.Wait()
		},
		"about to be parked": func(c *EventLoop, _ *bell) {
			release := make(chan struct{})
			for range 10 {
				c.Schedule(func() { <-release })
			}
			after(c)
			close(release)
		},
		"working": func(c *EventLoop, _ *bell) { c.Schedule(func() {}) },
		"polling": func(c *EventLoop, b *bell) {
			f := func(bool) { b.before.Store(nil); runtime.Gosched() }
			b.before.Store(&f)
			b.ring(func() {})
		},
		"just started":            func(*EventLoop, *bell) {},
		"without a monitor awake": func(c *EventLoop, _ *bell) { time.Sleep(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			for range 50 {
				inBubble(t, 2, func(t *testing.T, c *EventLoop, b *bell) {
					before(c, b)
					began := time.Now()
					end(c)
					assert.Zero(t, time.Since(began))
				})
			}
		})
	}
}

func TestWhatWasScheduledBeforeCloseIsRun(t *testing.T) {
	for _, workers := range []int{1, 3} {
		inBubble(t, workers, func(t *testing.T, c *EventLoop, _ *bell) {
			const turns = 3 * pollEvery
			ran := make(chan int, turns)
			wait := make(chan struct{})
			c.Schedule(func() { <-wait })
			for i := range turns {
				c.Schedule(func() { ran <- i })
			}
			c.Close()
			close(wait)
			c.Wait()
			assert.Len(t, ran, turns)
		})
	}
}

// A handler that returns late has an actor to end, which takes some more turns. Wait waits for them
// too.
func TestCloseWaitsForABlockedTurnThatReturnsLaterAndForWhatFollowsFromIt(t *testing.T) {
	for _, counted := range []bool{true, false} {
		inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
			began, afterwards := time.Now(), 0
			var follow func()
			follow = func() {
				if afterwards++; afterwards < 10 {
					c.Schedule(follow)
					time.Sleep(1)
				}
			}
			c.Schedule(func() {
				time.Sleep(time.Minute)
				c.Schedule(func() { c.Schedule(follow); runtime.Goexit() })
			})
			synctest.Wait()
			if counted { // out by the monitor
				time.Sleep(3 * tick)
				assert.Equal(t, 1, look(c).blocked)
			}
			c.Close()
			c.Wait()
			assert.InDelta(t, time.Minute, time.Since(began), 100)
			assert.Equal(t, 10, afterwards)
		})
	}
}

// The monitor ends with Close, so nothing finds a worker that is blocked any more.
func TestATurnBehindOneThatBlocksRunsAlsoAfterClose(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
		release, ran := make(chan struct{}), false
		c.Schedule(func() { <-release })
		synctest.Wait()
		c.Schedule(func() { ran = true })
		c.Close()
		synctest.Wait()
		assert.True(t, ran)
		close(release)
	})
}

func TestATurnThatIsScheduledAfterCloseRunsOnAGoroutineOfItsOwn(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
		for _, wait := range []bool{false, true} {
			if wait {
				c.Wait()
			} else {
				c.Close()
			}
			gate, ran := make(chan struct{}), false
			c.Schedule(func() { <-gate; ran = true })
			close(gate)
			synctest.Wait()
			assert.True(t, ran)
		}
	})
}

// The turns behind one that ends its goroutine belong to other actors.
func TestAfterCloseATurnThatEndsItsGoroutineTakesNoOtherTurnWithIt(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
		var ran atomic.Int64
		closed := make(chan struct{})
		c.Schedule(func() { <-closed; runtime.Goexit() })
		for range 10 {
			c.Schedule(func() { ran.Add(1) })
			c.Schedule(runtime.Goexit)
		}
		c.Close()
		close(closed)
		c.Wait()
		assert.EqualValues(t, 10, ran.Load())
	})
}

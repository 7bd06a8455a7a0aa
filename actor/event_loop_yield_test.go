package tcpactor

import (
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// A handler that hands its work to another goroutine has just made that goroutine ready. A worker
// that sleeps in the poller at once keeps a processor from it, and is then woken for its answer.
func TestAWorkerLetsOthersRunBeforeItSleepsOnceTheyGiveItWork(t *testing.T) {
	const rounds = 1000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	inBubble(t, 1, func(t *testing.T, c *EventLoop, b *bell) {
		handed := make(chan struct{}, 1)
		for range rounds {
			c.Schedule(func() { handed <- struct{}{} })
			<-handed
		}
		assert.Less(t, b.sleeps.Load(), int64(rounds/10))
	})
}

// Where no goroutine gives work, the yield would cost each sleep a round of the scheduler.
func TestAWorkerDoesNotYieldForEventsOfThePoller(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, b *bell) {
		c.Schedule(func() {})
		for range yieldsAfter + 1 {
			synctest.Wait() // the worker sleeps: each event is found by a sleep of its own
			done := make(chan struct{})
			b.ring(func() { c.Schedule(func() { close(done) }) })
			<-done
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		assert.Zero(t, c.outside)
	})
}

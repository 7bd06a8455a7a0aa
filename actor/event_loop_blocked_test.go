package tcpactor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// G14 within the event loop, in virtual time: a turn may block, and the others wait for one to two
// ticks.

// after schedules a turn and returns how long it had to wait. Afterwards all workers have done
// their work.
func after(c *EventLoop) time.Duration {
	began, ran := time.Now(), make(chan time.Duration)
	c.Schedule(func() { ran <- time.Since(began) })
	waited := <-ran
	synctest.Wait()
	return waited
}

func TestATurnThatBlocksIsTakenOverAfterOneToTwoTicks(t *testing.T) {
	require.Equal(t, 2*time.Millisecond, tick)
	for phase := time.Duration(0); phase < 2*tick; phase += tick / 8 {
		inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
			after(c) // the monitor is awake
			time.Sleep(phase)
			release := make(chan struct{})
			c.Schedule(func() { <-release })
			synctest.Wait()
			waited := after(c)
			assert.GreaterOrEqual(t, waited, tick, "it might have been about to return")
			assert.LessOrEqual(t, waited, 2*tick)
			assert.Equal(t, census{workers: 2, awake: 1, blocked: 1, sleeping: true}, look(c))
			assert.Zero(t, after(c), "from then on nothing waits")
			close(release)
		})
	}
}

func TestAnEventOfThePollerIsNotHeldUpByABlockedTurnEither(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, b *bell) {
		release := make(chan struct{})
		c.Schedule(func() { <-release })
		synctest.Wait()
		began, heard := time.Now(), make(chan struct{})
		b.ring(func() { close(heard) })
		<-heard
		assert.LessOrEqual(t, time.Since(began), 2*tick)
		close(release)
	})
}

func TestATurnShorterThanATickIsNotTakenForBlocked(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
		const turns = 1000
		for range turns {
			c.Schedule(func() {
				time.Sleep(tick - 1)
				assert.Equal(t, 1, look(c).workers)
			})
		}
		began := time.Now()
		after(c)
		assert.Equal(t, turns*(tick-1), time.Since(began))
	})
}

// Detections in a row multiply the number of workers that take over.
func TestManyTurnsThatBlockAtOnceHoldTheOthersUpForAFewTicks(t *testing.T) {
	for blocking, most := range map[int]time.Duration{2: 3 * tick, 8: 4 * tick, 50: 6 * tick} {
		for phase := time.Duration(0); phase < tick; phase += tick / 4 {
			inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
				after(c)
				time.Sleep(phase)
				release := make(chan struct{})
				for range blocking {
					c.Schedule(func() { <-release })
				}
				waited := after(c)
				assert.LessOrEqual(t, waited, most, "%d at once", blocking)
				time.Sleep(3 * tick) // the last of them may have begun a moment ago
				assert.Equal(t, blocking, look(c).blocked)
				assert.Zero(t, after(c))
				close(release)
			})
		}
	}
}

// One after the other, each when the one before was taken over.
func TestABlockingTurnNowAndThenHoldsTheOthersUpForTwoTicksEach(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, c *EventLoop, _ *bell) {
		const turns = 100
		release := make(chan struct{})
		for i := range turns {
			c.Schedule(func() { <-release })
			assert.LessOrEqual(t, after(c), 2*tick)
			time.Sleep(2*tick + time.Duration(1+i%7)*tick/5)
		}
		assert.LessOrEqual(t, look(c).workers, turns+8, "one each, and a few for a short while")
		close(release)
	})
}

func TestABlockedWorkerThatReturnsParksUnlessItIsNeeded(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
		release := make(chan struct{})
		c.Schedule(func() { <-release })
		after(c)
		close(release)
		synctest.Wait()
		assert.Equal(t, census{workers: 2, parked: 1, sleeping: true}, look(c))

		release = make(chan struct{})
		c.Schedule(func() { <-release })
		after(c)
		assert.Equal(t, census{workers: 2, awake: 1, blocked: 1, sleeping: true}, look(c), "the parked one took over")
		close(release)
	})
}

func TestBlockedTurnsThatAllReturnAtOnceLeaveNoMoreThanTargetActive(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, c *EventLoop, _ *bell) {
		const blocking = 30
		release := make(chan struct{})
		for range blocking {
			c.Schedule(func() { <-release })
		}
		after(c)
		close(release)
		synctest.Wait()
		now := look(c)
		assert.Equal(t, census{workers: now.workers, parked: now.workers - 1, sleeping: true}, now)
		assert.GreaterOrEqual(t, now.workers, blocking+1)
		time.Sleep(10*tick + tick/2) // a tick in between may bring a second worker in
		most := 0
		for range 100 {
			c.Schedule(func() {
				now := look(c)
				most = max(most, now.awake-now.blocked)
			})
		}
		after(c)
		assert.Equal(t, 1, most)
	})
}

func TestAParkedWorkerEndsAfterTenSecondsUnlessItIsNeeded(t *testing.T) {
	require.Equal(t, 10*time.Second, parkedFor)
	inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
		take := func() { // and give back
			release := make(chan struct{})
			c.Schedule(func() { <-release })
			after(c)
			close(release)
			synctest.Wait()
			require.Equal(t, census{workers: 2, parked: 1, sleeping: true}, look(c))
		}
		for range 3 {
			take()
			time.Sleep(parkedFor - 1)
			require.Equal(t, 2, look(c).workers)
		}
		time.Sleep(1)
		synctest.Wait()
		assert.Equal(t, asleep, look(c))
		take()
	})
}

// At the same instant its time is over and it is needed: it must either come, or be replaced.
func TestAWorkerThatIsNeededAtTheMomentItEndsIsNotMissed(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, c *EventLoop, _ *bell) {
		for range 200 {
			began := time.Now()
			grow(c)
			met := make(chan struct{})
			c.Schedule(func() {
				c.Schedule(func() {}) // so that two wait
				c.Schedule(func() { met <- struct{}{} })
				<-met // not before another worker runs the other one
			})
			synctest.Wait()
			require.Zero(t, time.Since(began), "two workers met")
			time.Sleep(parkedFor)
		}
	})
}

package tcpactor

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheMonitorOfAnIdleEventLoopDozesAndItsTimerWithIt(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, c *EventLoop, b *bell) {
		time.Sleep(dozeAfter*tick - 1)
		synctest.Wait()
		require.False(t, c.dozing.Load())
		time.Sleep(1)
		synctest.Wait()
		require.True(t, c.dozing.Load())
		before := b.polls.Load()
		time.Sleep(10000 * time.Hour) // 18,000 million ticks: a timer that went on would take hours for them
		assert.Equal(t, before, b.polls.Load())
		assert.Equal(t, asleep, look(c))
	})
}

func TestADozingMonitorIsWokenByWorkWhereverItComesFrom(t *testing.T) {
	for name, give := range map[string]func(c *EventLoop, b *bell, turn func()){
		"Schedule":   func(c *EventLoop, _ *bell, turn func()) { c.Schedule(turn) },
		"the poller": func(c *EventLoop, b *bell, turn func()) { b.ring(func() { c.Schedule(turn) }) },
	} {
		inBubble(t, 1, func(t *testing.T, c *EventLoop, b *bell) {
			for range 5 {
				time.Sleep(time.Minute)
				require.True(t, c.dozing.Load())
				release := make(chan struct{})
				give(c, b, func() { <-release })
				synctest.Wait()
				require.False(t, c.dozing.Load(), name)
				assert.LessOrEqual(t, after(c), 2*tick, "it notices a turn that blocks")
				close(release)
			}
		})
	}
}

// While a handler sleeps for long there may be no other work. The monitor dozes, and wakes for the
// next handler that blocks.
func TestTheMonitorDozesBesideATurnThatWasTakenOver(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
		release := make(chan struct{})
		for blocked := 1; blocked <= 3; blocked++ {
			c.Schedule(func() { <-release })
			time.Sleep(time.Minute)
			require.True(t, c.dozing.Load())
			require.Equal(t, census{workers: blocked + 1, awake: blocked, blocked: blocked, sleeping: true}, look(c))
		}
		close(release)
	})
}

// Between the monitor's last look and its sleep, a worker may have taken a turn without telling it.
// If that turn blocked, the monitor would not notice, and no worker would poll.
func TestAMonitorDoesNotDozeWhileAWorkerIsAwake(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
		release := make(chan struct{})
		c.Schedule(func() { <-release })
		synctest.Wait()
		assert.False(t, c.doze())
		assert.False(t, c.dozing.Load())
		close(release)
		synctest.Wait()
		time.Sleep(1)
		c.Schedule(func() {})
	})
}

func TestWorkThatComesAtTheMomentTheMonitorGoesToSleepIsNoticed(t *testing.T) {
	for range 500 {
		inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
			time.Sleep(dozeAfter * tick) // wakes at the same instant as the last tick
			release := make(chan struct{})
			c.Schedule(func() { <-release })
			assert.LessOrEqual(t, after(c), 3*tick)
			close(release)
		})
	}
}

// Load, monitor and policy work together here. Turns take half a tick each, more than one worker
// can do.
func TestALoadGetsAsManyWorkersAsItGainsFrom(t *testing.T) {
	const most = 4
	inBubble(t, most, func(t *testing.T, c *EventLoop, _ *bell) {
		stop, ended := make(chan struct{}), make(chan struct{}, 2*most)
		work := func(inside func()) {
			var turn func()
			turn = func() {
				select {
				case <-stop:
					ended <- struct{}{}
				default:
					inside()
					c.Schedule(turn)
				}
			}
			c.Schedule(turn)
		}
		for range 2 * most {
			work(func() { time.Sleep(tick / 2) })
		}
		time.Sleep(time.Second)
		c.mu.Lock()
		assert.Equal(t, most, c.target)
		c.mu.Unlock()
		close(stop)
		for range 2 * most {
			<-ended
		}
		time.Sleep(time.Second)
		c.mu.Lock()
		assert.Equal(t, 1, c.target, "and one when it is over")
		c.mu.Unlock()
	})
}

func TestALoadThatGainsNothingFromMoreWorkersIsLeftToOne(t *testing.T) {
	inBubble(t, 4, func(t *testing.T, c *EventLoop, _ *bell) {
		only := make(chan struct{}, 1) // all of them need it
		var stop atomic.Bool
		var turn func()
		turn = func() {
			if stop.Load() {
				return
			}
			only <- struct{}{}
			time.Sleep(tick / 4)
			<-only
			c.Schedule(turn)
		}
		for range 8 {
			c.Schedule(turn)
		}
		alone := 0
		const looks = 10000
		for range looks {
			time.Sleep(tick)
			c.mu.Lock()
			if c.target == 1 {
				alone++
			}
			assert.LessOrEqual(t, c.target, 2)
			c.mu.Unlock()
		}
		assert.Greater(t, alone, looks*9/10)
		stop.Store(true)
		time.Sleep(time.Second)
	})
}

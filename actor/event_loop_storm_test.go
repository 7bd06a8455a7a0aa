package tcpactor

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// In a bubble a lost wake-up is found without luck: when all goroutines wait, the clock jumps to
// the timer that would hide it. The goroutines themselves run in parallel as ever, so this is a
// storm as well.
func TestNoWakeUpIsLostAndNoTurnWaitsForTheMonitor(t *testing.T) {
	const rounds = 2000
	for _, workers := range []int{1, 2, 4} {
		for _, schedulers := range []int{1, 2, 8} {
			inBubble(t, workers, func(t *testing.T, c *EventLoop, b *bell) {
				began := time.Now()
				var storm sync.WaitGroup
				for i := range schedulers {
					storm.Go(func() {
						ran := make(chan struct{}, 1)
						turn := func() { ran <- struct{}{} }
						event := func() { c.Schedule(turn) }
						for round := range rounds {
							if round%64 == 0 {
								grow(c)
							}
							if (round+i)%3 == 0 {
								b.ring(event)
							} else {
								c.Schedule(turn)
							}
							<-ran
						}
					})
				}
				storm.Wait()
				assert.Zero(t, time.Since(began), "%d workers, %d schedulers", workers, schedulers)
			})
		}
	}
}

// The same outside of a bubble, with turns that block, that schedule others and that end their
// goroutine, and with real time.
func TestInAStormEveryTurnRunsOnce(t *testing.T) {
	const schedulers, each = 8, 2000
	b := newBell()
	c := NewEventLoop(b, 2)
	var ran [schedulers * each]atomic.Int32
	var left sync.WaitGroup
	left.Add(len(ran))
	for s := range schedulers {
		go func() {
			random := rand.New(rand.NewPCG(uint64(s), 1))
			for i := range each {
				n := s*each + i
				turn := func() { ran[n].Add(1); left.Done() }
				switch kind := random.IntN(1000); {
				case kind < 10:
					c.Schedule(func() { time.Sleep(time.Duration(kind) * time.Millisecond); turn() })
				case kind < 300:
					b.ring(func() { c.Schedule(turn) })
				case kind < 600:
					c.Schedule(func() { c.Schedule(turn) })
				default:
					c.Schedule(turn)
				}
				if i%100 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
	}
	all := make(chan struct{})
	go func() { left.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(20 * time.Second):
		assert.Fail(t, "a turn was lost")
	}
	c.Close()
	c.Wait()
	for n := range ran {
		assert.EqualValues(t, 1, ran[n].Load())
	}
	assert.False(t, b.crowded.Load(), "two workers polled at once")
}

// Close meets turns that are being scheduled: each runs, before it or after.
func TestInAStormOfSchedulesCloseLosesNoTurn(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			const schedulers, each = 4, 20
			b := newBell()
			c := NewEventLoop(b, 2)
			var ran atomic.Int64
			var storm sync.WaitGroup
			for range schedulers {
				storm.Go(func() {
					for range each {
						c.Schedule(func() { ran.Add(1) })
					}
				})
			}
			c.Close()
			storm.Wait()
			c.Wait()
			synctest.Wait()
			assert.EqualValues(t, schedulers*each, ran.Load())
		})
	}
}

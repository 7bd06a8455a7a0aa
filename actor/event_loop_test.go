package tcpactor

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// bell is a poller without sockets: its events are functions, which Dispatch calls. It notices when
// two workers poll at once.
type bell struct {
	events  chan func()
	wakes   chan struct{} // room for one, as an eventfd has
	found   []func()
	inside  atomic.Int32
	crowded atomic.Bool
	polls   atomic.Int64
	sleeps  atomic.Int64
	before  atomic.Pointer[func(block bool)] // called once, by the next Wait, before it looks
	batch   atomic.Int64                     // the most events that one Wait finds; 0: all
}

func newBell() *bell {
	return &bell{events: make(chan func(), 10000), wakes: make(chan struct{}, 1)}
}

func (b *bell) ring(event func()) { b.events <- event }

func (b *bell) enter() {
	if b.inside.Add(1) > 1 {
		b.crowded.Store(true)
	}
}

func (b *bell) leave() { b.inside.Add(-1) }

// Wait implements Poller.
func (b *bell) Wait(block bool) int {
	b.enter()
	defer b.leave()
	b.polls.Add(1)
	if f := b.before.Load(); f != nil {
		(*f)(block)
	}
	b.found = b.found[:0]
	most := cap(b.events)
	if batch := int(b.batch.Load()); batch > 0 {
		most = batch
	}
	for len(b.found) < most {
		select {
		case event := <-b.events:
			b.found = append(b.found, event)
			continue
		case <-b.wakes:
			b.found = append(b.found, func() {})
			continue
		default:
		}
		break
	}
	if block && len(b.found) == 0 {
		b.sleeps.Add(1)
		select {
		case event := <-b.events:
			b.found = append(b.found, event)
		case <-b.wakes:
			b.found = append(b.found, func() {})
		}
	}
	return len(b.found)
}

// Dispatch implements Poller.
func (b *bell) Dispatch(n int) {
	b.enter()
	defer b.leave()
	for _, event := range b.found[:n] {
		event()
	}
}

// Wake implements Poller.
func (b *bell) Wake() {
	select {
	case b.wakes <- struct{}{}:
	default:
	}
}

// inBubble runs a test with an event loop in virtual time, and ends it: nothing may be left.
func inBubble(t *testing.T, workers int, test func(t *testing.T, c *EventLoop, b *bell)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBell()
		c := NewEventLoop(b, workers)
		defer func() {
			end(c)
			assert.False(t, b.crowded.Load(), "two workers polled at once")
			assert.Equal(t, census{closed: true}, look(c))
		}()
		synctest.Wait()
		test(t, c, b)
	})
}

// end closes an event loop that a test may have closed already.
func end(c *EventLoop) {
	if !look(c).closed {
		c.Close()
	}
	c.Wait()
}

// census counts the parts of an event loop.
type census struct {
	workers, parked, awake, blocked int
	sleeping, closed                bool
}

func look(c *EventLoop) census {
	c.mu.Lock()
	defer c.mu.Unlock()
	return census{len(c.workers), len(c.parked), c.awake, c.blocked, c.sleeping, c.closed}
}

// grow makes an event loop as large as it may become under a load that gains from it.
func grow(c *EventLoop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target, c.policy.target = c.policy.most, c.policy.most
}

// asleep is an event loop without work.
var asleep = census{workers: 1, sleeping: true}

func TestAnEventLoopWithNothingToDoIsOneWorkerAsleepInThePoller(t *testing.T) {
	for _, workers := range []int{-1, 0, 1, 4} {
		inBubble(t, workers, func(t *testing.T, c *EventLoop, b *bell) {
			assert.Equal(t, asleep, look(c))
			assert.EqualValues(t, 1, b.sleeps.Load())
			assert.Equal(t, loopThroughput, c.Throughput())
		})
	}
}

func TestTurnsRunInTheOrderOfScheduling(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, _ *bell) {
		const turns, each = 500, 3
		var ran, want []int
		all := make(chan struct{})
		c.Schedule(func() { <-all })
		for i := range turns {
			c.Schedule(func() {
				ran = append(ran, i)
				for range each { // behind all that wait already
					c.Schedule(func() { ran = append(ran, turns+i) })
				}
			})
			want = append(want, i)
		}
		for i := range turns {
			for range each {
				want = append(want, turns+i)
			}
		}
		close(all)
		synctest.Wait()
		assert.Equal(t, want, ran)
	})
}

func TestTheTurnsOfOneBatchRunInOrder(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, b *bell) {
		var ran, want []int
		for i := range 1000 {
			b.ring(func() { c.Schedule(func() { ran = append(ran, i) }) })
			want = append(want, i)
		}
		synctest.Wait()
		assert.Equal(t, want, ran)
	})
}

// A turn that ran inside Schedule would wait here for its own caller.
func TestATurnNeverRunsOnTheGoroutineThatSchedulesIt(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, b *bell) {
		ran := 0
		for _, from := range []func(func()){func(f func()) { f() }, c.Schedule, b.ring} {
			from(func() {
				scheduled := make(chan struct{})
				c.Schedule(func() { <-scheduled; ran++ })
				close(scheduled)
			})
			synctest.Wait()
		}
		assert.Equal(t, 3, ran)
	})
}

// The dangerous moments are the polls between the last look at the queue and sleep.
func TestAWorkerThatIsAboutToSleepNoticesWhatIsScheduled(t *testing.T) {
	for _, moment := range []bool{false, true} {
		inBubble(t, 1, func(t *testing.T, c *EventLoop, b *bell) {
			ran := false
			f := func(block bool) {
				if block == moment {
					b.before.Store(nil)
					c.Schedule(func() { ran = true })
				}
			}
			b.before.Store(&f)
			began := time.Now()
			b.ring(func() {}) // it comes back, finds nothing and polls again
			synctest.Wait()
			assert.Nil(t, b.before.Load())
			assert.True(t, ran, "blocking: %v", moment)
			assert.Zero(t, time.Since(began))
			assert.Equal(t, asleep, look(c))
		})
	}
}

func TestPollingAlsoHappensWhileTheQueueNeverRunsEmpty(t *testing.T) {
	for _, workers := range []int{1, 2} {
		inBubble(t, workers, func(t *testing.T, c *EventLoop, b *bell) {
			grow(c)
			var turns, heardAt atomic.Int64
			var spin func()
			spin = func() {
				if turns.Add(1) == 1 {
					b.ring(func() { heardAt.Store(turns.Load()) })
				}
				if heardAt.Load() == 0 && turns.Load() < 100*pollEvery {
					c.Schedule(spin)
				}
			}
			c.Schedule(spin)
			c.Schedule(spin)
			synctest.Wait()
			assert.Positive(t, heardAt.Load())
			assert.LessOrEqual(t, heardAt.Load(), int64(2*pollEvery), "while it polls the others go on")
			if workers == 1 {
				assert.LessOrEqual(t, heardAt.Load(), int64(pollEvery))
			}
		})
	}
}

// With one client that waits for its answer every poll without block finds nothing: the system call
// is saved after a while.
func TestPollsThatNeverFindAnythingAreLeftOut(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *EventLoop, b *bell) {
		answer := func() {
			b.ring(func() { c.Schedule(func() {}) })
			synctest.Wait()
		}
		for range 2 * skipAfter {
			answer()
		}
		before := b.polls.Load()
		answer()
		assert.EqualValues(t, 1, b.polls.Load()-before, "only the one that sleeps")

		c.Schedule(func() { b.ring(func() {}); b.ring(func() {}); b.ring(func() {}) })
		synctest.Wait()
		before = b.polls.Load()
		answer()
		assert.EqualValues(t, 2, b.polls.Load()-before, "under load they are worth it again")
	})
}

func TestATurnThatEndsItsGoroutineCostsAnEventLoopNothing(t *testing.T) {
	inBubble(t, 2, func(t *testing.T, c *EventLoop, b *bell) {
		began, ran := time.Now(), 0
		for range 100 {
			c.Schedule(runtime.Goexit)
			c.Schedule(func() { ran++ })
			synctest.Wait()
			b.ring(func() { c.Schedule(runtime.Goexit) })
			b.ring(func() { c.Schedule(func() { ran++ }) })
			synctest.Wait()
		}
		assert.Equal(t, 200, ran)
		assert.Zero(t, time.Since(began))
		assert.Equal(t, asleep, look(c))
	})
}

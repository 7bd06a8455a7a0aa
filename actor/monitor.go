package tcpactor

import (
	"time"

	"github.com/go-berth/berth/internal/seam"
)

// The monitor observes the event loop: it finds workers that are blocked in a handler, and asks the
// policy how many workers the load is worth. It reads the clock so that no code on the hot path has
// to.

const (
	// tick is how often it looks. A handler counts as blocked after one to two of them.
	tick = 2 * time.Millisecond
	// dozeAfter is after how many ticks without a turn it goes to sleep.
	dozeAfter = 50

	// extraGrowth is by how much the extra workers multiply at a tick that finds most of them
	// blocked.
	extraGrowth = 4
	// mostExtra bounds the extra workers. Blocked ones are not among them: there are at most as
	// many as connections.
	mostExtra = 1024
)

func (c *EventLoop) monitor() {
	defer c.joining.Done()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	idle, last := 0, time.Now()
	for {
		wait := seam.Wait()
		select {
		case <-ticker.C:
			wait.Over()
		case <-c.stop:
			wait.Over()
			return
		}
		now := time.Now()
		ticks := ticksIn(now.Sub(last))
		last = now
		if c.look(ticks) {
			idle = 0
			continue
		}
		if idle++; idle < dozeAfter {
			continue
		}
		idle = 0
		if !c.doze() {
			continue
		}
		ticker.Stop()
		wait = seam.Wait()
		select {
		case <-c.rouse:
			wait.Over()
		case <-c.stop:
			wait.Over()
			return
		}
		ticker.Reset(tick)
		last = time.Now()
	}
}

// ticksIn returns how many ticks went by between two looks.
func ticksIn(d time.Duration) int { return max(1, int((d+tick/2)/tick)) }

// doze stops the monitor's looks, unless a worker has been active since the last look: the turn
// that this worker took may block, and the worker did not see that the monitor must be woken.
func (c *EventLoop) doze() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.sleeping || c.active() > 0 {
		return false
	}
	c.dozing.Store(true)
	return true
}

func (c *EventLoop) wakeMonitor() {
	if c.dozing.CompareAndSwap(true, false) {
		c.rouse <- struct{}{} // room for one, and only the goroutine that swapped sends
	}
}

// look is one tick, or the last of several if the monitor could not run at the others. It reports
// whether the event loop did anything since the last look, or is doing it.
func (c *EventLoop) look(ticks int) (busy bool) {
	c.mu.Lock()
	found := 0
	runs := c.retired
	for _, w := range c.workers {
		inside := w.inside.Load()
		if inside&1 == 1 && inside == w.seen && !w.blocked {
			w.blocked = true
			c.blocked++
			found++
		}
		w.seen = inside
		runs += inside / 2
	}
	c.growExtra(found)
	asleep := c.sleeping && c.active() == 0
	busy = c.policy.runs != runs || !asleep
	c.target = c.policy.ticksOf(ticks, runs, asleep)
	wake := false
	if missing := c.missing(); missing > 0 {
		// A worker that was called back before, and has not come yet, does not count: a thread that
		// comes out of a system call may wait long for a processor, if other goroutines keep all
		// of them busy.
		if c.sleeping && !c.waking {
			c.waking, wake = true, true
			missing--
		}
		c.reinforce(missing)
	}
	c.mu.Unlock()
	if wake {
		c.poller.Wake()
	}
	return busy
}

// growExtra decides how many more workers may come in after a tick that found blocked workers. If
// most of the extra workers were blocked too, more turns that block wait in the queue or in the
// poller, and the number multiplies. It takes up to two ticks to find a blocked worker, so one tick
// without a find does not end the row.
func (c *EventLoop) growExtra(found int) {
	if found == 0 {
		if c.calm++; c.calm > 1 {
			c.extra = 0
		}
		return
	}
	c.calm = 0
	if c.extra == 0 || found > max(c.extra/2, 1) {
		c.extra = min(max(extraGrowth*c.extra, found), mostExtra)
	}
}

// missing returns how many workers to bring in: as many as may be active and have something to run,
// and one to poll if no worker does.
func (c *EventLoop) missing() int {
	want := min(c.target+c.extra, c.queue.len())
	if !c.polling {
		want = max(want, 1)
	}
	return max(0, want-c.active())
}

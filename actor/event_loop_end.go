package tcpactor

import (
	"time"

	"github.com/go-berth/berth/internal/seam"
)

// This file ends the workers of an event loop: parked, dismissed, closed.

// park waits until w is needed. It returns false if w has been dismissed. c.mu must be held; park
// releases it while it waits.
func (c *EventLoop) park(w *worker) bool {
	if c.closed {
		c.dismiss(w)
		return false
	}
	c.awake--
	c.parked = append(c.parked, w)
	c.mu.Unlock()
	if w.timer == nil {
		w.timer = time.NewTimer(parkedFor)
	} else {
		w.timer.Reset(parkedFor)
	}
	needed, late := false, false
	wait := seam.Wait()
	select {
	case needed = <-w.wake:
	case <-w.timer.C:
		late = true
	}
	wait.Over()
	w.timer.Stop()
	c.mu.Lock()
	if late {
		select {
		case needed = <-w.wake: // needed at the same moment
		default:
			c.unpark(w)
			c.awake++ // dismiss counts it out again
		}
	}
	if !needed {
		c.dismiss(w)
	}
	return needed
}

// unpark takes w out. c.mu must be held, as for dismiss.
func (c *EventLoop) unpark(w *worker) {
	for i, other := range c.parked {
		if other == w {
			c.parked = append(c.parked[:i], c.parked[i+1:]...)
			return
		}
	}
}

// dismiss ends an awake worker.
func (c *EventLoop) dismiss(w *worker) {
	if w.blocked {
		w.blocked = false
		c.blocked--
	}
	c.awake--
	c.retired += w.inside.Load() / 2
	for i, other := range c.workers {
		if other == w {
			last := len(c.workers) - 1
			c.workers[i] = c.workers[last]
			c.workers[last] = nil
			c.workers = c.workers[:last]
			return
		}
	}
}

// Close ends the workers, each after its turn. The turns that wait in the queue get goroutines of
// their own, as later ones do: nothing takes over any more from a worker that is blocked.
func (c *EventLoop) Close() {
	c.mu.Lock()
	c.closed = true
	for c.queue.len() > 0 {
		c.startLate(c.queue.pop())
	}
	for _, w := range c.parked {
		c.awake++ // dismiss counts it out again
		w.wake <- false
	}
	c.parked = nil
	c.mu.Unlock()
	close(c.stop)
	c.poller.Wake()
}

// Wait returns when all goroutines have ended. It is called after Close, and never from a turn of
// this event loop.
func (c *EventLoop) Wait() {
	wait := seam.Wait()
	c.joining.Wait()
	wait.Over()
}

// startLate starts a goroutine for a turn. c.mu must be held.
func (c *EventLoop) startLate(t turn) {
	joined := len(c.workers)+c.late > 0
	if joined {
		c.late++
		c.joining.Add(1)
	}
	seam.Go(func() { c.runLate(t, joined) })
}

// runLate runs a turn after Close. A handler that returns so late still has its actor to end, by
// turns that schedule each other: Wait must see the last of them, not only the first.
func (c *EventLoop) runLate(t turn, joined bool) {
	defer func() { // also where a handler ends the goroutine
		if joined {
			c.mu.Lock()
			c.late--
			c.mu.Unlock()
			c.joining.Done()
		}
	}()
	t.run()
}

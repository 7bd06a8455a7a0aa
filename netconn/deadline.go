package netconn

import (
	"context"
	"os"
	"time"
)

// deadline is the moment from which on calls of one kind fail. The lock of its Conn guards it.
type deadline struct {
	passed bool
	timer  *time.Timer   // nil: none runs
	done   chan struct{} // closed when it passes; nil until it is asked for
}

// set replaces the moment. Who waits for done goes on waiting, for the new moment, unless the old
// one has passed.
func (d *deadline) set(c *Conn, t time.Time) {
	d.stop()
	if d.passed {
		d.passed, d.done = false, nil
	}
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.pass(c)
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if d.timer == timer { // or it was replaced in this moment
			d.timer = nil
			d.pass(c)
		}
	})
	d.timer = timer
}

func (d *deadline) pass(c *Conn) {
	d.passed = true
	if d.done != nil {
		close(d.done)
	}
	c.news.Signal()
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// writeContext is a Conn as the context of its Writes: done when the write deadline passes.
type writeContext Conn

var _ context.Context = (*writeContext)(nil)

// Deadline implements context.Context. There is none: it may change.
func (*writeContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (w *writeContext) Done() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &w.writeBy
	if d.done == nil {
		d.done = make(chan struct{})
		if d.passed {
			close(d.done)
		}
	}
	return d.done
}

// Err implements context.Context.
func (w *writeContext) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writeBy.passed {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Value implements context.Context.
func (*writeContext) Value(any) any { return nil }

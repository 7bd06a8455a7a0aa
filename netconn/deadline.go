package netconn

import (
	"context"
	"os"
	"time"
)

// deadline is the moment from which on calls of one kind fail. The lock of its Conn guards it.
type deadline struct {
	passed bool
	timer  *time.Timer // nil: none runs
	call   *within     // for the calls that begin now; nil until it is asked for
}

// set replaces the moment. A call that waits goes on waiting, until the new moment, unless the old
// one has passed: such a call has failed, whatever comes after.
func (d *deadline) set(c *Conn, t time.Time) {
	d.stop()
	if d.passed {
		d.passed, d.call = false, nil
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
	if d.call != nil {
		close(d.call.done)
	}
	c.news.Signal()
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// context returns the context of a call that begins now.
func (d *deadline) context() *within {
	if d.call == nil {
		d.call = &within{make(chan struct{})}
		if d.passed {
			close(d.call.done)
		}
	}
	return d.call
}

// within is the context of calls that a deadline bounds. Once it is done it stays so.
type within struct{ done chan struct{} }

var _ context.Context = (*within)(nil)

// Deadline implements context.Context. There is none: it may change.
func (*within) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (w *within) Done() <-chan struct{} { return w.done }

// Err implements context.Context.
func (w *within) Err() error {
	select {
	case <-w.done:
		return os.ErrDeadlineExceeded
	default:
		return nil
	}
}

// Value implements context.Context.
func (*within) Value(any) any { return nil }

package faultnet

import (
	"sync"
	"time"
)

// deadline is a moment that may be moved while a goroutine waits for it.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	over  chan struct{} // closed when it has passed
}

func (d *deadline) init() { d.over = make(chan struct{}) }

// passed returns a channel that is closed when the deadline has passed. That includes a deadline
// that is set while a goroutine waits.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

// set moves the deadline; zero means none. A deadline that has passed and is moved is a new one for
// later waits.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.over // the timer's function closes it in a moment
	}
	d.timer = nil
	over := isClosed(d.over)
	if over {
		d.over = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	ended := d.over
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(ended) })
	} else {
		close(ended)
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

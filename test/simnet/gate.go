package simnet

import (
	"sync"
	"time"

	"github.com/go-berth/berth/internal/seam"
)

// gate is a mutex together with a wait for changes of the state that it guards.
//
// It is not a sync.Cond because a wait here also ends with a timer or a context. No goroutine may
// wait for the mutex for long: a goroutine blocked in Lock does not count as durably blocked, so a
// bubble's clock would stand still. Therefore nothing that can block is done with the gate locked.
type gate struct {
	sync.Mutex
	changed chan struct{} // closed by the next broadcast; nil while no goroutine waits, which is nearly always
}

// broadcast wakes every waiter to look again. The caller holds the gate.
func (g *gate) broadcast() {
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// wait gives the gate up until a broadcast, until the given time unless that is zero, or until done
// is closed, and holds it again when it returns. It does not say which: callers look again at
// everything in any case.
//
// The timer belongs to the waiter, so a closed connection leaves none behind.
func (g *gate) wait(until time.Time, done <-chan struct{}) {
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	changed := g.changed
	g.Unlock()
	defer g.Lock()

	var alarm <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		alarm = timer.C
	}
	turn := seam.Wait()
	select {
	case <-changed:
	case <-alarm:
	case <-done:
	}
	turn.Over()
}

// passed reports whether a deadline, of which zero is none, is now or before.
func passed(deadline, now time.Time) bool {
	return !deadline.IsZero() && !now.Before(deadline)
}

// earlier returns the earlier of two times of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

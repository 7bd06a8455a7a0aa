// Package seam is the seam through which a test decides what runs next.
//
// Berth's actors run on dispatchers, so their turns can be put in any order. What runs on a
// goroutine of its own, or waits, asks this package first. Usually no [Scheduler] is in force: then
// Go is a go statement, AfterFunc is time.AfterFunc, and a wait costs one load of a pointer. None
// of these calls is made for each message: they stand beside waits that block a goroutine.
//
// Package test/sched has the scheduler. It runs one goroutine at a time, in a bubble of
// testing/synctest.
package seam

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"
)

// Scheduler decides the order of everything that runs. Its methods are called by goroutines that it
// let run, and by timers.
type Scheduler interface {
	// Go runs f on a goroutine of its own once it is f's turn.
	Go(f func())
	// Turn runs f once it is its turn, on any goroutine. Turns of one actor, which do not overlap,
	// have the same key; it is compared.
	Turn(key any, f func())
	// Throughput is how many messages an actor handles in one turn.
	Throughput() int
	// Wait numbers a wait of the calling goroutine that is about to begin. The number is not 0.
	Wait() uint64
	// Over returns when the goroutine that has waited may go on.
	Over(wait uint64)
	// Until returns once ready has returned true. The scheduler asks it before each step, while the
	// caller waits: it is for what comes from outside of the bubble, as the kernel's events do.
	Until(ready func() bool)
	// Idle returns once nothing else can run: the caller asks again for what another is to do.
	Idle()
	// AfterFunc is time.AfterFunc; f runs once it is its turn.
	AfterFunc(d time.Duration, f func()) *time.Timer
	// Random returns a random number.
	Random() uint64
}

var current atomic.Pointer[Scheduler]

// Use puts a scheduler in force for the whole process; nil ends that. One that is in force must be
// ended before another is put in force: Use returns false, and does nothing, if it was not.
func Use(s Scheduler) bool {
	if s == nil {
		current.Store(nil)
		return true
	}
	return current.CompareAndSwap(nil, &s)
}

// Current returns the scheduler in force, nil if there is none, or if the caller is not in a bubble
// of testing/synctest.
func Current() Scheduler {
	s := current.Load()
	if s == nil || !virtual() {
		return nil
	}
	return *s
}

// virtual reports whether the caller's time is that of a bubble. It begins in 2000, and a test does
// not last for ten years.
func virtual() bool { return time.Now().Year() < 2010 }

// Go is a go statement.
func Go(f func()) {
	if s := Current(); s != nil {
		s.Go(f)
		return
	}
	go f()
}

// Ticket is one wait of a goroutine.
type Ticket uint64

// Wait is called before a goroutine waits for a channel, a timer or a lock that may be held for
// long. Over is called after it.
func Wait() Ticket {
	if s := Current(); s != nil {
		return Ticket(s.Wait())
	}
	return 0
}

// Over ends a wait. It must be called without locks.
func (t Ticket) Over() {
	if t == 0 {
		return
	}
	if s := Current(); s != nil {
		s.Over(uint64(t))
	}
}

// Yield lets others run first. It must be called without locks.
func Yield() { Wait().Over() }

// Gosched is runtime.Gosched, for a loop that waits for another goroutine.
func Gosched() {
	if s := Current(); s != nil {
		s.Idle()
		return
	}
	runtime.Gosched()
}

// AfterFunc is time.AfterFunc.
func AfterFunc(d time.Duration, f func()) *time.Timer {
	if s := Current(); s != nil {
		return s.AfterFunc(d, f)
	}
	return time.AfterFunc(d, f)
}

// Float64 is rand.Float64.
func Float64() float64 {
	if s := Current(); s != nil {
		return float64(s.Random()>>11) / (1 << 53)
	}
	return rand.Float64()
}

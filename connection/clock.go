package connection

import (
	"sync"
	"time"
)

// clock is the time that the sweep's limits are measured in. It is the process's own time, except
// that it does not count the delay of a late sweep. While a process stands still (it is stopped,
// its machine is moved or sleeps) nothing is read, so nothing is known about the peers. After such
// a pause every connection has the same time left as before it.
//
// Any goroutine may call its methods. Times are since the Spawner's epoch.
type clock struct {
	mu   sync.Mutex
	at   time.Duration // what it showed at the last sweep
	real time.Duration // when that was
	most time.Duration // how far it goes until the next sweep
}

// leastSlack is how late a sweep may come without losing time, at least, and as far as no limit is
// shorter than four times that: a busy machine makes it late by some milliseconds all the time.
const leastSlack = 50 * time.Millisecond

// slack is how late a sweep may come without losing time, if sweeps come every interval and the
// shortest limit is shortest.
func slack(interval, shortest time.Duration) time.Duration {
	return max(interval, min(leastSlack, shortest/4))
}

// now returns what the clock shows at a moment of the process's time.
func (k *clock) now(moment time.Duration) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.shows(moment)
}

func (k *clock) shows(moment time.Duration) time.Duration {
	return k.at + max(0, min(moment-k.real, k.most))
}

// behind returns by how much the clock is behind the process's time at a moment of the process's
// time. This is all the time that was not counted.
func (k *clock) behind(moment time.Duration) time.Duration { return moment - k.now(moment) }

// sweep is called by the sweep, at its beginning. It returns what the clock shows.
func (k *clock) sweep(moment time.Duration) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at, k.real = k.shows(moment), moment
	return k.at
}

// allow sets how far the clock goes until the next sweep.
func (k *clock) allow(most time.Duration) {
	k.mu.Lock()
	k.most = most
	k.mu.Unlock()
}

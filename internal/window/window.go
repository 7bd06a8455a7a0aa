// Package window counts what happened within a length of time before now: handlers that panicked,
// acceptors that ended.
package window

import "time"

// Window keeps when something happened. The zero Window is empty. One goroutine at a time may use
// it.
type Window struct {
	recent []time.Duration // oldest first
}

// Len forgets what happened length or more before now, and returns how much is left. With a length
// of 0 or less nothing is forgotten.
func (w *Window) Len(now, length time.Duration) int {
	for length > 0 && len(w.recent) > 0 && now-w.recent[0] >= length {
		w.recent = w.recent[1:]
	}
	return len(w.recent)
}

// Add notes that it happened now, which is not before any earlier one.
func (w *Window) Add(now time.Duration) { w.recent = append(w.recent, now) }

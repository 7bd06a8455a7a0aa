package listener

import (
	"time"

	"github.com/go-berth/berth/internal/window"
)

const (
	// mostRestarts is how often an acceptor that fails is made anew within restartWindow. One
	// failure more goes to the listener's parent.
	mostRestarts  = 10
	restartWindow = 10 * time.Second
)

// restarts counts how often one acceptor had to be made anew. It gives the wait of each time, which
// is that after as many failed accepts. A quiet restartWindow sets the count to zero.
type restarts struct {
	first  time.Time // from which recent measures
	recent window.Window
	wait   backoff
}

// next counts one more, at now, and returns how many there are within the window.
func (r *restarts) next(now time.Time) (count int, wait time.Duration) {
	if r.first.IsZero() {
		r.first = now
	}
	at := now.Sub(r.first)
	count = r.recent.Len(at, restartWindow)
	if count == 0 {
		r.wait.reset()
	}
	r.recent.Add(at)
	return count + 1, r.wait.next()
}

// forgive forgets those counted so far.
func (r *restarts) forgive() { r.recent = window.Window{} }

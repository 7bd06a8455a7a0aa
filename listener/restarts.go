package listener

import "time"

const (
	// mostRestarts is how often an acceptor that fails is made anew within restartWindow. One
	// failure more goes to the listener's parent.
	mostRestarts  = 10
	restartWindow = 10 * time.Second
)

// restarts counts how often one acceptor had to be made anew. It gives the wait of each time, which
// is that after as many failed accepts. A quiet restartWindow sets the count to zero.
type restarts struct {
	recent []time.Time // within the window, oldest first
	wait   backoff
}

// next counts one more, at now, and returns how many there are within the window.
func (r *restarts) next(now time.Time) (count int, wait time.Duration) {
	for len(r.recent) > 0 && now.Sub(r.recent[0]) >= restartWindow {
		r.recent = r.recent[1:]
	}
	if len(r.recent) == 0 {
		r.wait.reset()
	}
	r.recent = append(r.recent, now)
	return len(r.recent), r.wait.next()
}

// forgive forgets those counted so far.
func (r *restarts) forgive() { r.recent = nil }

package listener

import (
	"context"
	"slices"
	"sync"

	"github.com/go-berth/berth/internal/seam"
)

// counter counts the open connections, and tells the watchers of that number. Any goroutine may
// call its methods.
type counter struct {
	mu       sync.Mutex
	open     int
	watchers map[*watcher]struct{}
	alarms   alarms
}

// watcher keeps the numbers since the last look. One connection comes or goes at a time, so these
// are all numbers between low and high.
type watcher struct {
	low, high int
	news      chan struct{} // room for one signal
}

// set stores the number of open connections. It is called at every change, in order, and does not
// wait.
func (t *counter) set(open int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	grown := open > t.open
	t.open = open
	for w := range t.watchers {
		w.low, w.high = min(w.low, open), max(w.high, open)
		select {
		case w.news <- struct{}{}:
		default:
		}
	}
	if grown {
		t.lookAtAlarms(open)
	}
}

// wait returns nil once cond held for the number of open connections, however briefly.
func (t *counter) wait(ctx context.Context, cond func(open int) bool, ended <-chan struct{}) error {
	w := t.watch()
	defer t.unwatch(w)
	for {
		var over bool
		select {
		case <-ended: // so the next look is the last one
			over = true
		default:
		}
		low, high := t.look(w)
		for open := low; open <= high; open++ {
			if cond(open) {
				return nil
			}
		}
		if over {
			return ErrClosed
		}
		wait := seam.Wait()
		select {
		case <-w.news:
		case <-ended:
		case <-ctx.Done():
			wait.Over()
			return ctx.Err()
		}
		wait.Over()
	}
}

func (t *counter) watch() *watcher {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers == nil {
		t.watchers = map[*watcher]struct{}{}
	}
	w := &watcher{low: t.open, high: t.open, news: make(chan struct{}, 1)}
	t.watchers[w] = struct{}{}
	return w
}

func (t *counter) unwatch(w *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.watchers, w)
}

// look returns the least and the most open connections since the last look.
func (t *counter) look(w *watcher) (low, high int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	low, high = w.low, w.high
	w.low, w.high = t.open, t.open
	return low, high
}

// setAlarms replaces the alarms.
func (t *counter) setAlarms(list []Alarm) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.alarms.replace(list)
	t.lookAtAlarms(t.open)
}

// endAlarms returns when no alarm goes off any more. Callbacks that have begun go on.
func (t *counter) endAlarms() {
	t.mu.Lock()
	t.alarms.over = true
	states := slices.Clone(t.alarms.states)
	t.mu.Unlock()
	for _, state := range states {
		state.again.stop()
	}
}

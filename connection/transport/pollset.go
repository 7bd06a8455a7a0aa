//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import "sync"

// watcher is what a descriptor in a PollSet belongs to. ready is called by the goroutine that polls; it must not wait.
type watcher interface {
	ready(input, output, hangup bool)
}

// table finds the watcher of a descriptor. The kernel's event carries the descriptor's number and a generation: numbers are used again at
// once, and an event for the one before must not reach the one after.
type table struct {
	mu    sync.Mutex
	slots []slot // by descriptor
}

type slot struct {
	watcher    watcher
	generation uint32
}

// enter returns the generation to register with.
func (t *table) enter(fd int, w watcher) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fd >= len(t.slots) {
		t.slots = append(t.slots, make([]slot, max(fd+1, 2*len(t.slots), 64)-len(t.slots))...)
	}
	s := &t.slots[fd]
	s.watcher = w
	s.generation++
	return s.generation
}

// remove forgets w. It comes before the descriptor is closed, so its number cannot be anybody else's yet.
func (t *table) remove(fd int, w watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fd < len(t.slots) && t.slots[fd].watcher == w {
		t.slots[fd].watcher = nil
	}
}

// find returns nil for a descriptor that is not, or no longer, here.
func (t *table) find(fd int, generation uint32) watcher {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fd < len(t.slots) && t.slots[fd].generation == generation {
		return t.slots[fd].watcher
	}
	return nil
}

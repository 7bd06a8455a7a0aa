//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import "sync"

// watcher owns a descriptor in a PollSet. The goroutine that polls calls ready, which must not
// wait.
type watcher interface {
	ready(what readiness)
}

// readiness holds what an event says of a descriptor.
type readiness uint8

const (
	readyInput    readiness = 1 << iota // a read may find something
	readyOutput                         // there is room for a write
	readyHangup                         // a short read is not the end: there is one behind it, or urgent bytes
	readyFinished                       // the peer's FIN is there
	readyBroken                         // an error is there
)

// pollBatch is the most events of one system call. More wait for the next, in order. The writes of
// a batch touch the same memory as its reads: for 64 connections it is in the cache still (measured
// with 1,000 and 10,000 that send at once: 256 costs a fifth more for each message).
const pollBatch = 64

// table finds the watcher of a descriptor. The kernel's event carries the descriptor's number and a
// generation: numbers are used again at once, and an event for the previous descriptor must not
// reach the next one.
type table struct {
	mu    sync.Mutex
	pages []*page // by descriptor
}

// page is a piece of a table. A table in pages grows without copying, and needs no more memory than
// there are descriptors.
type page struct {
	watchers    [pageSize]watcher
	generations [pageSize]uint32
}

const pageSize = 64

// enter returns the generation to register with.
func (t *table) enter(fd int, w watcher) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for fd/pageSize >= len(t.pages) {
		t.pages = append(t.pages, nil)
	}
	p := t.pages[fd/pageSize]
	if p == nil {
		p = new(page)
		t.pages[fd/pageSize] = p
	}
	p.watchers[fd%pageSize] = w
	p.generations[fd%pageSize]++
	return p.generations[fd%pageSize]
}

// page returns nil where there has been no descriptor yet. t.mu must be held.
func (t *table) page(fd int) *page {
	if fd/pageSize < len(t.pages) {
		return t.pages[fd/pageSize]
	}
	return nil
}

// remove forgets w. It is called before the descriptor is closed, so its number cannot be reused
// yet.
func (t *table) remove(fd int, w watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.page(fd); p != nil && p.watchers[fd%pageSize] == w {
		p.watchers[fd%pageSize] = nil
	}
}

// find returns nil for a descriptor that is not in the table.
func (t *table) find(fd int, generation uint32) watcher {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.page(fd); p != nil && p.generations[fd%pageSize] == generation {
		return p.watchers[fd%pageSize]
	}
	return nil
}

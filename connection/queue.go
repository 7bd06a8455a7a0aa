package connection

import "sync/atomic"

// queue holds the accepted writes of one connection that wait for the kernel. They are chained, so
// it has no memory of its own.
type queue struct{ first, last *entry } // the oldest and the newest; nil: none

func (q *queue) empty() bool { return q.first == nil }

func (q *queue) push(e *entry) {
	if q.first == nil {
		q.first = e
	} else {
		q.last.next = e
	}
	q.last = e
}

// pop returns the oldest entry; there must be one.
func (q *queue) pop() *entry {
	e := q.first
	q.first, e.next = e.next, nil
	if q.first == nil {
		q.last = nil
	}
	return e
}

// inbox holds the accepted writes on their way from their callers to the writer, as a chain, the
// newest first. Any goroutine pushes; the writer takes all of them at once, so an entry cannot be
// in it twice.
type inbox struct{ newest atomic.Pointer[entry] }

// push reports whether the inbox was empty: then the writer may not know of work.
func (i *inbox) push(e *entry) (first bool) {
	for {
		before := i.newest.Load()
		e.next = before
		if i.newest.CompareAndSwap(before, e) {
			return before == nil
		}
	}
}

func (i *inbox) empty() bool { return i.newest.Load() == nil }

// drainTo moves all entries to the end of q, the oldest first.
func (i *inbox) drainTo(q *queue) {
	if i.empty() {
		return
	}
	var oldest *entry
	newest := i.newest.Swap(nil)
	for e := newest; e != nil; {
		if r := e.rest; r != nil && r.run != nil {
			r.run.close()
		}
		e, e.next, oldest = e.next, oldest, e
	}
	if q.first == nil {
		q.first = oldest
	} else {
		q.last.next = oldest
	}
	q.last = newest
}

package connection

// queue is the accepted writes of one connection that wait for the kernel. They are chained, so it has no memory of its own.
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

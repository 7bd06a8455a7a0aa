package connection

import "sync/atomic"

// run is an entry of several writes of one group to one member, a slice each. As long as the entry
// is the newest in the inbox and the writer has not taken it, the group adds its next write to it,
// instead of an entry whose memory is cold.
//
// A run is its member's for ever. So the group, which remembers the newest one, never finds a run
// there that serves another connection by now.
type run struct {
	rest
	of    *runs
	entry *entry        // for comparison with what is in the inbox, never to be followed
	lines [][]byte      // room for the slices after the first
	count atomic.Uint32 // slices, the first included; 0: the writer has taken the run
	taken int           // the count that the writer found
	next  *run          // in a chain of finished ones
}

// runs are those of one member. Its fields are the group's, under Group.writing, except finished.
type runs struct {
	newest   *run
	full     bool // newest had no room for one more
	used     int  // slices of newest
	size     int  // room of the next one
	spare    *run // a chain
	finished atomic.Pointer[run]
}

const (
	mostLines = maxVector - 1 // a longer run would take more than one system call
	mostSpare = 2             // runs that a member keeps: one for the writer's turn, one for the group
)

// post queues p, which has its credit, to the member.
func (r *runs) post(c *Connection, p []byte, crossed bool) {
	if !r.extend(&c.writer.inbox, p) {
		c.post(r.begin(p), crossed)
	} else if crossed {
		c.signal(signalWater)
	}
}

// extend adds p to the newest run, unless another write came after it or the writer has taken it.
// Then the writer has been told of work, and not begun it.
func (r *runs) extend(i *inbox, p []byte) bool {
	n := r.newest
	if n == nil || i.newest.Load() != n.entry {
		return false
	}
	count := n.count.Load()
	if count == 0 {
		return false
	}
	if r.full = int(count) > len(n.lines); r.full {
		return false
	}
	n.lines[count-1] = p
	if !n.count.CompareAndSwap(count, count+1) {
		n.lines[count-1] = nil
		return false
	}
	r.used++
	return true
}

// begin returns the entry of a new run. A member gets as much room as it had use for: one whose
// queue is empty before every write needs none.
func (r *runs) begin(p []byte) *entry {
	switch {
	case r.full:
		r.size = min(2*r.size+1, mostLines)
	case r.used <= (r.size+3)/4:
		r.size /= 2
	}
	n := r.take()
	if len(n.lines) != r.size {
		n.lines = make([][]byte, r.size)
	}
	e := newEntry()
	e.data, e.memory, e.rest = p, len(p), &n.rest
	n.rest.run, n.entry = n, e
	n.count.Store(1)
	r.newest, r.full, r.used = n, false, 1
	return e
}

// take returns a run that is finished, or a new one.
func (r *runs) take() *run {
	if r.spare == nil {
		r.spare = r.finished.Swap(nil)
		last := r.spare
		for i := 1; i < mostSpare && last != nil; i++ {
			last = last.next
		}
		if last != nil {
			last.next = nil
		}
	}
	n := r.spare
	if n == nil {
		return &run{of: r}
	}
	r.spare, n.next = n.next, nil
	return n
}

// close ends the run's growth. It is the writer's, as finish.
func (n *run) close() {
	n.taken = int(n.count.Swap(0))
	n.more = n.lines[:n.taken-1]
	for _, p := range n.more {
		n.left += int64(len(p))
	}
}

// finish gives the run back to its member.
func (n *run) finish() {
	clear(n.lines[:n.taken-1])
	n.rest = rest{}
	for {
		n.next = n.of.finished.Load()
		if n.of.finished.CompareAndSwap(n.next, n) {
			return
		}
	}
}

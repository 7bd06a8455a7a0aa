package tcpactor

// turns is an event loop's run queue: a ring that grows by doubling. When the queue runs empty, it
// gives back the memory that a burst added.
type turns struct {
	slots []turn
	head  int
	count int
}

const fewestTurns = 64

func (q *turns) len() int { return q.count }

func (q *turns) push(t turn) {
	if q.count == len(q.slots) {
		q.resize(max(fewestTurns, 2*len(q.slots)))
	}
	q.slots[(q.head+q.count)&(len(q.slots)-1)] = t
	q.count++
}

// pop returns the oldest turn; there must be one.
func (q *turns) pop() turn {
	t := q.slots[q.head]
	q.slots[q.head] = nil
	q.head = (q.head + 1) & (len(q.slots) - 1)
	q.count--
	if q.count == 0 && len(q.slots) > 16*fewestTurns {
		q.slots, q.head = nil, 0 // a burst is over
	}
	return t
}

func (q *turns) resize(size int) { // a power of two
	slots := make([]turn, size)
	n := copy(slots, q.slots[q.head:])
	copy(slots[n:], q.slots[:q.head])
	q.slots, q.head = slots, 0
}

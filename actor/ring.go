package tcpactor

// ring is a queue of messages. Two places lie inside it, so that an actor that rarely has more mail waiting needs no
// memory elsewhere; what a burst made it grow is given back once the burst is over.
type ring struct {
	inside [2]any
	grown  []any // nil while inside suffices
	head   int
	count  int
}

// keepGrown is the largest ring kept when it runs empty, in messages of 16 bytes.
const keepGrown = 16

func (r *ring) slots() []any {
	if r.grown != nil {
		return r.grown
	}
	return r.inside[:]
}

func (r *ring) push(message any) {
	slots := r.slots()
	if r.count == len(slots) {
		grown := make([]any, 4*len(slots))
		n := copy(grown, slots[r.head:])
		copy(grown[n:], slots[:r.head])
		clear(slots)
		r.grown, r.head, slots = grown, 0, grown
	}
	slots[(r.head+r.count)%len(slots)] = message
	r.count++
}

func (r *ring) pop() (any, bool) {
	if r.count == 0 {
		return nil, false
	}
	slots := r.slots()
	message := slots[r.head]
	slots[r.head] = nil
	r.head = (r.head + 1) % len(slots)
	r.count--
	if r.count == 0 {
		r.head = 0
		if len(slots) > keepGrown {
			r.grown = nil
		}
	}
	return message, true
}

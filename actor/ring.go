package tcpactor

// ring is a queue of messages that grows by doubling.
type ring struct {
	slots []any // none, or a power of two
	head  int
	count int
}

const fewestSlots = 8

func (r *ring) push(message any) {
	if r.count == len(r.slots) {
		grown := make([]any, max(fewestSlots, 2*len(r.slots)))
		n := copy(grown, r.slots[r.head:])
		copy(grown[n:], r.slots[:r.head])
		r.slots, r.head = grown, 0
	}
	r.slots[(r.head+r.count)&(len(r.slots)-1)] = message
	r.count++
}

func (r *ring) pop() (any, bool) {
	if r.count == 0 {
		return nil, false
	}
	message := r.slots[r.head]
	r.slots[r.head] = nil
	r.head = (r.head + 1) & (len(r.slots) - 1)
	r.count--
	return message, true
}

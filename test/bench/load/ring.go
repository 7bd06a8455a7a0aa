package load

// ring is a queue of times, first in, first out, of fixed capacity; its zero value holds none and
// drops what is pushed.
type ring struct {
	times []int64
	first int
	count int
}

func newRing(capacity int) ring { return ring{times: make([]int64, capacity)} }

func (r *ring) push(t int64) {
	if len(r.times) == 0 {
		return
	}
	if r.count == len(r.times) {
		panic("load: more messages under way than the connection's depth")
	}
	r.times[(r.first+r.count)%len(r.times)] = t
	r.count++
}

func (r *ring) pop() int64 {
	t := r.times[r.first]
	r.first = (r.first + 1) % len(r.times)
	r.count--
	return t
}

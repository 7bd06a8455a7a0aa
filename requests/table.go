package requests

import (
	"cmp"
	"container/heap"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// call is one request. It is open until it has ended: answered, expired, abandoned or failed.
type call[K comparable, R any] struct {
	id       K         // in a table by identifier
	number   uint64    // counts the calls of a table
	deadline time.Time // zero: none
	heaped   int       // where it is among the deadlines, from 1; 0: it is not
	done     func(R, error)
	ended    bool
	placed   bool // it has a place in the table
}

// table holds the calls of one connection. It knows neither connections nor goroutines, and its
// owner locks it. A call has a place from add on. In order a place is the next answer's, and stays
// when the call ends without an answer. By identifier it goes with the call.
type table[K comparable, R any] struct {
	inOrder   bool
	most      int
	number    uint64
	queue     []*call[K, R]     // in order
	byID      map[K]*call[K, R] // by identifier
	deadlines deadlines[K, R]   // of open calls
}

// len returns how many places are taken.
func (t *table[K, R]) len() int {
	if t.inOrder {
		return len(t.queue)
	}
	return len(t.byID)
}

// add gives a call a place, the last one.
func (t *table[K, R]) add(c *call[K, R]) error {
	if t.len() >= t.most {
		return fmt.Errorf("%w: %d requests have no answer", ErrTooMany, t.most)
	}
	if t.inOrder {
		t.queue = append(t.queue, c)
	} else {
		if err := checkID(c.id); err != nil {
			return err
		}
		if _, taken := t.byID[c.id]; taken {
			return fmt.Errorf("%w: %v", ErrDuplicateID, c.id)
		}
		if t.byID == nil {
			t.byID = map[K]*call[K, R]{}
		}
		t.byID[c.id] = c
	}
	t.number++
	c.number, c.placed = t.number, true
	if !c.deadline.IsZero() {
		heap.Push(&t.deadlines, c)
	}
	return nil
}

// end ends a call, and reports whether it was open.
func (t *table[K, R]) end(c *call[K, R]) bool {
	if c.ended {
		return false
	}
	c.ended = true
	if c.heaped > 0 {
		heap.Remove(&t.deadlines, c.heaped-1)
	}
	return true
}

// vacate takes a call's place away.
func (t *table[K, R]) vacate(c *call[K, R]) {
	if !c.placed {
		return
	}
	c.placed = false
	if !t.inOrder {
		delete(t.byID, c.id)
		return
	}
	i := len(t.queue) - 1 // mostly it is the last
	for t.queue[i] != c {
		i--
	}
	t.queue = slices.Delete(t.queue, i, i+1)
}

// withdraw ends a call of which nothing was sent: no answer will come. It reports whether the call
// was open.
func (t *table[K, R]) withdraw(c *call[K, R]) bool {
	t.vacate(c)
	return t.end(c)
}

// abandon ends a call that waits no longer. It reports whether the call was open.
func (t *table[K, R]) abandon(c *call[K, R]) bool {
	if !t.inOrder {
		t.vacate(c)
	}
	return t.end(c)
}

// next returns the call that the next answer in order belongs to, nil if there is none, and frees
// its place. If the call is not open, the answer is late.
func (t *table[K, R]) next() (c *call[K, R], open bool) {
	if len(t.queue) == 0 {
		return nil, false
	}
	c = t.queue[0]
	t.queue[0] = nil
	t.queue = t.queue[1:]
	c.placed = false
	return c, t.end(c)
}

// of returns the call that an answer with an identifier belongs to, nil if there is none, and frees
// its place. The error is ErrBadID.
func (t *table[K, R]) of(id K) (*call[K, R], error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	c := t.byID[id]
	if c != nil {
		t.vacate(c)
		t.end(c)
	}
	return c, nil
}

// checkID refuses an identifier that no map takes: comparable includes interfaces, whatever they
// hold, and the peer may choose that.
func checkID[K comparable](id K) error {
	switch any(id).(type) { // the usual ones need no reflection for each request
	case string, int, int64, int32, uint, uint64, uint32, uint16, [16]byte:
		return nil
	}
	if !reflect.ValueOf(&id).Elem().Comparable() {
		return fmt.Errorf("%w: a %T", ErrBadID, id)
	}
	return nil
}

// expire ends the calls whose deadline has come, and returns them, the earliest first.
func (t *table[K, R]) expire(now time.Time) (expired []*call[K, R]) {
	for len(t.deadlines) > 0 && !t.deadlines[0].deadline.After(now) {
		c := t.deadlines[0]
		t.abandon(c)
		expired = append(expired, c)
	}
	return expired
}

// earliest returns the next deadline; zero: there is none.
func (t *table[K, R]) earliest() time.Time {
	if len(t.deadlines) == 0 {
		return time.Time{}
	}
	return t.deadlines[0].deadline
}

// fail ends all calls and empties the table. It returns those that were open, in their order.
func (t *table[K, R]) fail() (open []*call[K, R]) {
	all := t.queue
	for _, c := range t.byID {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *call[K, R]) int { return cmp.Compare(a.number, b.number) })
	for _, c := range all {
		c.placed = false
		if t.end(c) {
			open = append(open, c)
		}
	}
	t.queue, t.byID = nil, nil
	return open
}

// deadlines is a heap of open calls, the earliest deadline first; equal ones by number.
type deadlines[K comparable, R any] []*call[K, R]

// Len implements heap.Interface, as the others do.
func (d deadlines[K, R]) Len() int { return len(d) }

// Less orders by deadline.
func (d deadlines[K, R]) Less(i, j int) bool {
	if order := d[i].deadline.Compare(d[j].deadline); order != 0 {
		return order < 0
	}
	return d[i].number < d[j].number
}

// Swap keeps the calls' own notes of their places.
func (d deadlines[K, R]) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].heaped, d[j].heaped = i+1, j+1
}

// Push appends.
func (d *deadlines[K, R]) Push(x any) {
	c := x.(*call[K, R])
	*d = append(*d, c)
	c.heaped = len(*d)
}

// Pop removes the last.
func (d *deadlines[K, R]) Pop() any {
	last := len(*d) - 1
	c := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	c.heaped = 0
	return c
}

package main

import (
	"container/heap"
	"slices"
	"sync"
	"time"
)

// store is the keyspace: one map behind one mutex.
//
// An actor would do as well, and a keyspace actor is the form that comes to mind first on
// Proto.Actor. It costs a message there and a message back for each request, and the turns of two
// actors: 1 to 2 µs of processor time, where the request itself takes half of one. The lock costs
// about 20 ns. It is held for one command, or for all commands of one EXEC, and never while
// something is read, written or waited for. So a transaction is atomic, and a slow client holds up
// no other.
//
// A key whose time is over is never seen again. Each command also drops some of the keys that are
// due, earliest first, so no goroutine is needed for those that nothing asks for.
type store struct {
	mu        sync.Mutex
	entries   map[string]*entry
	deadlines deadlines // of the entries that have one, the earliest first
}

func newStore() *store { return &store{entries: map[string]*entry{}} }

// kind is the type of a value.
type kind uint8

const (
	isString kind = iota
	isList
	isHash
)

// entry is a key and its value.
type entry struct {
	key      string
	kind     kind
	text     []byte   // of a string; overwritten in place
	list     [][]byte // of a list, the last element first: LPUSH appends
	hash     *hash
	deadline int64 // milliseconds since 1970; 0: none
	place    int   // in deadlines, if there is a deadline
}

// hash keeps its fields in the order in which they came, as Redis does for small ones.
type hash struct {
	places map[string]int // of a field in pairs
	pairs  []pair
}

type pair struct {
	field string
	value []byte
}

// The methods below want the lock to be held.

// get returns the entry of a key, nil if there is none.
func (s *store) get(key []byte) *entry {
	e := s.entries[string(key)]
	if e != nil && e.deadline != 0 && e.deadline <= milliseconds() {
		s.drop(e)
		return nil
	}
	return e
}

// add makes an entry for a key that has none.
func (s *store) add(key []byte, kind kind) *entry {
	e := &entry{key: string(key), kind: kind}
	s.entries[e.key] = e
	return e
}

// drop removes an entry.
func (s *store) drop(e *entry) {
	s.expire(e, 0)
	delete(s.entries, e.key)
}

// clear removes every entry.
func (s *store) clear() {
	s.entries = map[string]*entry{}
	s.deadlines = nil
}

// expire gives an entry a deadline in milliseconds since 1970, 0 for none.
func (s *store) expire(e *entry, deadline int64) {
	before := e.deadline
	e.deadline = deadline
	switch {
	case before == 0 && deadline != 0:
		heap.Push(&s.deadlines, e)
	case before != 0 && deadline == 0:
		heap.Remove(&s.deadlines, e.place)
	case before != 0:
		heap.Fix(&s.deadlines, e.place)
	}
}

// dropDue removes entries whose deadline has come, at most as many as take some 10 µs.
func (s *store) dropDue() {
	if len(s.deadlines) == 0 {
		return
	}
	now := milliseconds()
	for n := 0; n < 50 && len(s.deadlines) > 0 && s.deadlines[0].deadline <= now; n++ {
		s.drop(s.deadlines[0])
	}
}

func milliseconds() int64 { return time.Now().UnixMilli() }

// setText makes the value a copy of text, or text itself if that is owned and long enough to have
// memory of its own.
func (e *entry) setText(text []byte, owned bool) {
	e.kind, e.list, e.hash = isString, nil, nil
	switch {
	case owned && len(text) >= ownMemory:
		e.text = text
	case cap(e.text) >= 4*len(text)+64: // far too much for this one
		e.text = slices.Clone(text)
	default:
		e.text = append(e.text[:0], text...)
	}
}

// ownMemory is the length from which an owned argument shares its memory with no other; see
// resp.Command.
const ownMemory = 4 << 10

// deadlines is a heap of entries.
type deadlines []*entry

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline < d[j].deadline }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	e := x.(*entry)
	e.place = len(*d)
	*d = append(*d, e)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	e := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return e
}

package connection

import (
	"sync"
	"unsafe"
)

// vector is scratch memory for one gathering write. It is pooled because idle connections need
// none.
type vector struct{ bufs [maxVector][]byte }

var vectors = sync.Pool{New: func() any { return new(vector) }}

func newVector() *vector { return vectors.Get().(*vector) }

// free gives the vector back after used of its slices were filled.
func (v *vector) free(used int) {
	clear(v.bufs[:used])
	vectors.Put(v)
}

// alone returns what fill would for a queue that is one slice, nil for others. Most are, and those
// need no scratch memory.
func alone(q *queue) [][]byte {
	e := q.first
	if e.next != nil || e.rest != nil || len(e.data) > maxBatch {
		return nil
	}
	return unsafe.Slice(&e.data, 1)
}

// fill gathers the slices of as many entries as one system call takes, up to the first file or
// barrier.
func (v *vector) fill(q *queue) [][]byte {
	n, bytes := 0, 0
	add := func(p []byte) bool {
		if n == maxVector || bytes >= maxBatch {
			return false
		}
		p = p[:min(len(p), maxBatch-bytes)] // a call that blocks for all of a large slice would look like a stall
		if len(p) > 0 {
			v.bufs[n] = p
			n++
			bytes += len(p)
		}
		return true
	}
	for e := q.first; e != nil; e = e.next {
		if e.apart() || !add(e.data) {
			break
		}
		if e.rest == nil {
			continue
		}
		for _, p := range e.rest.more {
			if !add(p) {
				return v.bufs[:n]
			}
		}
	}
	return v.bufs[:n]
}

package connection

import (
	"sync"

	"github.com/go-berth/berth/connection/transport"
)

// entry is one accepted write on its way from the caller to the kernel. It is pooled; it belongs to
// its caller until it is posted, then to the writer. Most writes are one slice and nothing else.
// Those need one cache line; fields that few writes need are in rest.
type entry struct {
	next   *entry           // in the writer's inbox or queue
	data   []byte           // the part of the first slice that is not written yet
	chunk  *transport.Chunk // the memory behind data, or small memory kept for a copy; nil: none
	done   func(error)      // the completion, if one is wanted
	memory int              // bytes of the budget that it holds, to its end; of a run, those of its first slice
	rest   *rest            // nil: none
}

// rest holds the fields that few entries need.
type rest struct {
	more [][]byte   // the slices after the first
	file *fileWrite // instead of data
	left int64      // bytes of more, or of file, that the kernel has not taken
	run  *run       // the entry is several writes, a slice each

	barrier bool // it is no write: those behind it wait for the handshake of StartTLS

	reply reply // for a Write that came by PID: its sender gets Written or WriteFailed
}

var (
	entries = sync.Pool{New: func() any { return new(entry) }} // of chains, so that a writer gives back all at once
	rests   = sync.Pool{New: func() any { return new(rest) }}
)

// newEntry takes the first entry of a pooled chain.
func newEntry() *entry {
	e := entries.Get().(*entry)
	if e.next != nil {
		entries.Put(e.next)
		e.next = nil
	}
	return e
}

// makeRest returns the rest, and makes it if there is none.
func (e *entry) makeRest() *rest {
	if e.rest == nil {
		e.rest = rests.Get().(*rest)
	}
	return e.rest
}

// keepMemory is the most memory that an entry keeps for the next copy, in bytes: the smallest
// chunk. So a small write visits one pool, not two.
const keepMemory = 256

// copyOf makes the entry one of a copy of p.
func (e *entry) copyOf(p []byte) {
	if len(p) == 0 {
		return
	}
	if e.chunk == nil || len(p) > len(e.chunk.Bytes) {
		e.hold(transport.NewChunk(len(p)))
	}
	e.data = e.chunk.Bytes[:copy(e.chunk.Bytes, p)]
}

// hold makes chunk the memory of the entry.
func (e *entry) hold(chunk *transport.Chunk) {
	if e.chunk != nil {
		e.chunk.Release()
	}
	e.chunk = chunk
}

// buffers makes the entry one of several slices, at least one, of n bytes in all.
func (e *entry) buffers(bufs [][]byte, n int) {
	e.data = bufs[0]
	if len(bufs) > 1 {
		r := e.makeRest()
		r.more, r.left = bufs[1:], int64(n-len(bufs[0]))
	}
}

// clear gives back what the entry holds.
func (e *entry) clear() {
	kept := e.chunk
	if kept != nil && len(kept.Bytes) <= keepMemory {
		kept.Reuse()
	} else if kept != nil {
		kept.Release()
		kept = nil
	}
	switch r := e.rest; {
	case r == nil:
	case r.run != nil:
		r.run.finish()
	default:
		*r = rest{}
		rests.Put(r)
	}
	*e = entry{chunk: kept}
}

// file returns the file that it sends, nil where it is slices.
func (e *entry) file() *fileWrite {
	if e.rest == nil {
		return nil
	}
	return e.rest.file
}

// apart reports whether it is not written together with others: a file, or a barrier.
func (e *entry) apart() bool { return e.rest != nil && (e.rest.file != nil || e.rest.barrier) }

// barrier reports whether it is one.
func (e *entry) barrier() bool { return e.rest != nil && e.rest.barrier }

// left returns how many bytes the kernel has not taken.
func (e *entry) left() int64 {
	n := int64(len(e.data))
	if e.rest != nil {
		n += e.rest.left
	}
	return n
}

// reserved returns how many bytes of credit it holds: a file's bytes take none.
func (e *entry) reserved() int {
	if e.file() != nil {
		return 0
	}
	return int(e.left())
}

// gone adds up what left the queue.
type gone struct {
	entries int // whole ones
	writes  int // whole ones; a run has several
	bytes   int // of credit
	memory  int // of the budget
}

// advance notes that the kernel took n more bytes of it, and adds to g what left the queue.
func (e *entry) advance(n int, g *gone) {
	switch r := e.rest; {
	case r == nil:
		e.data = e.data[n:]
		g.bytes += n
	case r.file != nil:
		r.left -= int64(n)
	case r.run != nil:
		e.advanceRun(n, g)
		return
	default:
		g.bytes += n
		for n >= len(e.data) && len(r.more) > 0 {
			n -= len(e.data)
			e.nextSlice()
		}
		e.data = e.data[n:]
	}
	if e.left() == 0 {
		g.writes++
		g.memory += e.memory
	}
}

// advanceRun is advance for a run. Each of its slices is a write.
func (e *entry) advanceRun(n int, g *gone) {
	g.bytes += n
	for n >= len(e.data) {
		g.writes++
		g.memory += e.memory
		n -= len(e.data)
		if len(e.rest.more) == 0 {
			e.data, e.memory = nil, 0
			return
		}
		e.nextSlice()
		e.memory = len(e.data)
	}
	e.data = e.data[n:]
}

func (e *entry) nextSlice() {
	r := e.rest
	e.data, r.more = r.more[0], r.more[1:]
	r.left -= int64(len(e.data))
}

// forgo adds to g the whole of the entry: the kernel takes no more of it.
func (e *entry) forgo(g *gone) {
	if e.barrier() {
		return // it has no credit
	}
	g.writes++
	g.bytes += e.reserved()
	g.memory += e.memory
	if r := e.rest; r != nil && r.run != nil {
		g.writes += len(r.more)
		g.memory += int(r.left)
	}
}

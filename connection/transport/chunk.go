package transport

import (
	"math/bits"
	"sync"
)

// Chunk is a piece of pooled memory. It has one owner at a time, which releases it, once, or hands
// it on.
type Chunk struct {
	Bytes []byte // the whole piece; its length is its capacity
	Kept  any    // what an owner leaves for the next one, to spare it a pool of its own; nil: nothing
	class uint8
}

// Chunks come in powers of two from 256 bytes to 1 MiB; smaller requests share the smallest class,
// larger ones are not pooled.
const (
	minShift = 8
	maxShift = 20
	unpooled = maxShift - minShift + 1
)

var pools [unpooled]sync.Pool

func classOf(size int) int { return max(bits.Len(uint(max(size, 1)-1)), minShift) - minShift }

// ChunkSize returns how large NewChunk(size) is.
func ChunkSize(size int) int {
	if class := classOf(size); class < unpooled {
		return 1 << (class + minShift)
	}
	return size
}

// NewChunk returns a chunk of at least size bytes. Its content is arbitrary. Any goroutine may call
// it.
func NewChunk(size int) *Chunk {
	class := classOf(size)
	if class >= unpooled {
		return &Chunk{Bytes: make([]byte, size), class: unpooled}
	}
	if c, ok := pools[class].Get().(*Chunk); ok {
		return c
	}
	return &Chunk{Bytes: make([]byte, 1<<(class+minShift)), class: uint8(class)}
}

// Release gives the memory back. It must not be read afterwards; with the build tag berthdebug it
// is overwritten.
func (c *Chunk) Release() {
	poison(c.Bytes)
	if c.class < unpooled {
		pools[c.class].Put(c)
	}
}

// Reuse says that the content is of no use any more. It is Release for an owner that keeps the
// memory.
func (c *Chunk) Reuse() { poison(c.Bytes) }

package connection

import (
	"math"
	"sync/atomic"

	"github.com/go-berth/berth/protocol"
)

// credit counts the accepted writes of one connection that the kernel has not taken yet: how many
// and how many bytes. Both counts are in one word, so that a caller that wants to write checks and
// takes both limits in one step. A mailbox could not give the caller that answer at once.
//
// A write is counted from reserve until release. A write that is reserved but not yet in the
// writer's mailbox is between two adjacent statements of its caller. During that time idle is
// false: so the writer knows that another write is still to come.
//
//	bit 63      closed: nothing is accepted any more
//	bit 62      high: the bytes rose to the high water mark, or a write was refused;
//	            they have not sunk to the low one since
//	bits 40-61  writes
//	bits 0-39   bytes
type credit struct{ word atomic.Uint64 }

const (
	creditClosed = 1 << 63
	creditHigh   = 1 << 62
	countShift   = 40
	bytesMask    = 1<<countShift - 1
	maxBytes     = min(bytesMask, math.MaxInt-1) // an int may have 32 bits, and math.MaxInt is no mark
	maxCount     = 1<<(62-countShift) - 1
)

// limits of one connection's write queue. Immutable, shared by all connections of a listener.
type limits struct {
	writes    int // at most maxCount
	bytes     int // at most maxBytes
	highWater int // math.MaxInt where no water marks are wanted
	lowWater  int
}

func pending(word uint64) (writes, bytes int) {
	return int(word >> countShift & maxCount), int(word & bytesMask)
}

// allow returns why a write of n bytes does not fit, nil if it does.
func (l *limits) allow(word uint64, n int) error {
	writes, bytes := pending(word)
	switch {
	case word&creditClosed != 0:
		return protocol.ErrClosed
	case n > l.bytes:
		return protocol.ErrWriteTooLarge
	case writes >= l.writes:
		return protocol.ErrWriteQueueFull
	case n > l.bytes-bytes:
		return protocol.ErrWriteBufferFull
	}
	return nil
}

// reserve takes a place in the queue and n bytes. crossed says that the bytes just rose to the high
// water mark.
func (c *credit) reserve(n int, l *limits) (crossed bool, err error) {
	for {
		word := c.word.Load()
		if err := l.allow(word, n); err != nil {
			return false, err
		}
		_, bytes := pending(word)
		next := word + 1<<countShift + uint64(n)
		crossed = word&creditHigh == 0 && bytes+n >= l.highWater
		if crossed {
			next |= creditHigh
		}
		if c.word.CompareAndSwap(word, next) {
			return crossed, nil
		}
	}
}

// refuse marks that a write of n bytes does not fit, so that the release that makes room reports
// it. It returns false if the write fits by now, or never will.
func (c *credit) refuse(n int, l *limits) bool {
	for {
		word := c.word.Load()
		if !lacksRoom(l.allow(word, n)) {
			return false
		}
		if word&creditHigh != 0 || c.word.CompareAndSwap(word, word|creditHigh) {
			return true
		}
	}
}

// release gives back what reserve took, the bytes possibly earlier than the writes. crossed says
// that the bytes just sank to the low water mark. fits returns the size plus 1 of a refused write
// that must fit as well, 0 where there is none.
func (c *credit) release(writes, bytes int, l *limits, fits func() int) (crossed bool) {
	for {
		word := c.word.Load()
		next := word - uint64(writes)<<countShift - uint64(bytes)
		crossed = word&creditHigh != 0 && l.low(next, fits())
		if crossed {
			next &^= creditHigh
		}
		if c.word.CompareAndSwap(word, next) {
			return crossed
		}
	}
}

// low reports whether the queue has sunk so far that writing may go on: to the low water mark, and
// after a refusal to where half of the queue's places are free and the refused write fits.
func (l *limits) low(word uint64, fits int) bool {
	writes, bytes := pending(word)
	return bytes <= l.lowWater && (fits == 0 || writes <= l.writes/2 && bytes+fits-1 <= l.bytes)
}

// close refuses everything from now on. Reserved credit stays reserved until it is released.
func (c *credit) close() { c.word.Or(creditClosed) }

func (c *credit) closed() bool { return c.word.Load()&creditClosed != 0 }

// pending returns the writes and bytes the kernel has not taken yet.
func (c *credit) pending() (writes, bytes int) { return pending(c.word.Load()) }

func (c *credit) idle() bool {
	writes, _ := c.pending()
	return writes == 0
}

// high reports whether the bytes are above the water marks.
func (c *credit) high() bool { return c.word.Load()&creditHigh != 0 }

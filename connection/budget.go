package connection

import (
	"sync/atomic"
	"time"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// Budget bounds the memory that the connections of one listener hold together: the chunks behind
// unread bytes, and what accepted writes hold until the kernel has taken them. Memory is taken from
// the budget before it is used, so no more than Total is ever held. The exception is a long PROXY
// header: its length is known only after it was read.
//
// From the high water on, a connection that holds at least its share is paused: it is not read any
// more, and gets no memory for writes. A connection that holds less goes on, up to a limit that
// depends on what it holds: see ceiling. So the greediest connections wait first, and those that
// hold nothing wait last. reclaim ends the waiting.
//
// Any goroutine may call the methods of a Budget. Without a budget it is nil; then only Kicked may
// be called.
type Budget struct {
	limits  BudgetLimits
	held    atomic.Int64
	waiting atomic.Int64  // connections that are not read because of it
	wanting atomic.Int64  // connections that had a write refused because of it, and have not been told of room
	refused atomic.Uint64 // writes
	share   atomic.Int64  // a connection that holds as much pauses above the high water; set by reclaim
	pressed atomic.Bool   // the high water was reached, and the low one not since; set by reclaim
	ahead   atomic.Int64  // lent to transports that read ahead; see lendAhead
	kicks   chan struct{} // room for one
	changed func(pressed bool, held int64)

	// reclaim only.
	pressedAt     time.Duration
	refusedBefore uint64
	line          []*Connection // scratch: the connections that wait
}

// BudgetLimits are the limits of a Budget. All are positive except Timeout, which is negative where
// it is off; LowWater < HighWater <= Total.
type BudgetLimits struct {
	Total, HighWater, LowWater int64 // bytes
	Timeout                    time.Duration
}

// smallShare is what a connection may hold at least before it counts as greedy, however many there
// are: a read, and an answer to it.
const smallShare = 8 << 10

// NewBudget returns a budget of which nothing is taken. changed is called on the goroutine that
// sweeps, when the budget becomes pressed and when it is no longer pressed.
func NewBudget(limits BudgetLimits, changed func(pressed bool, held int64)) *Budget {
	b := &Budget{limits: limits, kicks: make(chan struct{}, 1), changed: changed}
	b.share.Store(smallShare)
	return b
}

// Held returns how many bytes are taken.
func (b *Budget) Held() int64 { return b.held.Load() }

// Waiting returns how many connections are not read because of it.
func (b *Budget) Waiting() int { return int(b.waiting.Load()) }

// Wanting returns how many connections wait to be told of room after the budget refused a write.
func (b *Budget) Wanting() int { return int(b.wanting.Load()) }

// Refused returns how many writes were refused because of it.
func (b *Budget) Refused() uint64 { return b.refused.Load() }

// Kicked signals that a Sweep is due, within ReclaimInterval of the last one.
func (b *Budget) Kicked() <-chan struct{} {
	if b == nil {
		return nil
	}
	return b.kicks
}

func (b *Budget) kick() {
	select {
	case b.kicks <- struct{}{}:
	default:
	}
}

// purpose says what memory is wanted for.
type purpose uint8

const (
	reading purpose = iota
	writing
)

// ceiling returns up to where a connection that holds own bytes may fill the budget:
//
//	Total ───────────┬─ writes of a connection below its share: room for answers
//	                 ├─ reads of one that holds nothing, in small pieces: newcomers
//	                 ├─ reads of one that holds little; the more it holds the lower, down to
//	HighWater ───────┴─ everything else
func (b *Budget) ceiling(own int64, what purpose) int64 {
	l, share := &b.limits, b.share.Load()
	left := l.Total - l.HighWater
	switch {
	case own >= share:
		return l.HighWater
	case what == writing:
		return l.Total
	case own == 0:
		return l.HighWater + left/2
	}
	return l.HighWater + int64(float64(left/4)*float64(share-own)/float64(share))
}

// take takes n bytes for s, or returns false and takes nothing.
func (b *Budget) take(s *share, n int, what purpose) bool {
	if n <= 0 {
		b.add(s, n)
		return true
	}
	for {
		held := b.held.Load()
		after := held + int64(n)
		if after > b.limits.HighWater && after > b.ceiling(s.held.Load(), what) {
			return false
		}
		if b.held.CompareAndSwap(held, after) {
			s.held.Add(int64(n))
			if after >= b.limits.HighWater && !b.pressed.Load() {
				b.kick()
			}
			return true
		}
	}
}

// add takes n bytes, or gives them back if n is negative.
func (b *Budget) add(s *share, n int) {
	if n != 0 {
		s.held.Add(int64(n))
		b.held.Add(int64(n))
	}
}

// share is what one connection holds of the budget.
type share struct {
	held    atomic.Int64
	waiting atomic.Bool  // it is not read until reclaim, or its end, says otherwise
	need    atomic.Int64 // how much more it wanted then
	wants   atomic.Int64 // the memory of the largest refused write plus 1; 0: there is none
	input   int          // of held, the memory of its input; the connection's turn only
	ahead   int          // lent to its transport, likewise
	reclaim reclaim      // the sweep's
}

// share returns the connection's share; there must be a budget.
func (c *Connection) share() *share { return c.rare.Load().share }

// affords takes the memory that a read of room bytes needs. If it returns false, the connection
// waits for the memory.
func (c *Connection) affords(room int) bool {
	b := c.shared.budget
	if b == nil {
		return true
	}
	memory := c.conn().Growth(&c.input, room)
	if memory > smallPiece && b.Held()+int64(memory) > b.limits.HighWater {
		if t, ok := c.conn().(readsAhead); ok {
			t.Shrink() // it was read when there was room
			memory = c.conn().Growth(&c.input, room)
		}
	}
	return c.affordsMemory(memory)
}

// affordsHeader is affords for a handshake, behind which ahead bytes may be read. A PROXY header
// that is longer than most is counted only once it was read.
func (c *Connection) affordsHeader(ahead int) bool {
	if c.shared.budget == nil {
		return true
	}
	memory := 2 * smallPiece
	if ahead > smallPiece {
		memory = firstRead
	}
	_, proxied := c.conn().(*transport.Proxied)
	return !proxied || c.affordsMemory(max(0, memory-c.input.Held()))
}

func (c *Connection) affordsMemory(n int) bool {
	b, s := c.shared.budget, c.share()
	if s.waiting.Load() {
		return false
	}
	if b.take(s, n, reading) {
		s.input += n
		return true
	}
	s.need.Store(int64(n))
	s.waiting.Store(true)
	if b.waiting.Add(1) == 1 { // for the others the sweep comes anyway
		b.kick()
	}
	return false
}

// goOn ends the waiting. It returns true if the connection did wait.
func (b *Budget) goOn(s *share) bool {
	if !s.waiting.CompareAndSwap(true, false) {
		return false
	}
	b.waiting.Add(-1)
	return true
}

// account brings the budget up to date with the memory that the input holds now.
func (c *Connection) account() {
	if b := c.shared.budget; b != nil {
		s := c.share()
		held := c.input.Held()
		if held == s.input {
			return
		}
		b.add(s, held-s.input)
		s.input = held
		if s.waiting.Load() {
			s.need.Store(0) // it needs something else now
		}
	}
}

// tight reports whether n bytes more come above the high water.
func (b *Budget) tight(n int) bool { return b.Held()+int64(n) > b.limits.HighWater }

// handOver notes that the input's memory belongs to a write of the connection to now, which has the
// same budget, and returns what was taken for it. The total does not change: bytes that are
// forwarded wait for no memory, so connections that forward to each other cannot wait in a circle.
func (c *Connection) handOver(to *Connection) (memory int) {
	s := c.share()
	memory, s.input = s.input, 0
	if to != c {
		s.held.Add(-int64(memory))
		to.share().held.Add(int64(memory))
	}
	return memory
}

// leaveBudget is for a connection that reads no more.
func (c *Connection) leaveBudget() {
	c.account()
	c.returnAhead()
	if b := c.shared.budget; b != nil {
		b.goOn(c.share())
		b.wanted(c.share())
	}
}

// want notes that a write of the given memory was refused, so that its connection is told of room.
// Any goroutine may call it.
func (b *Budget) want(s *share, memory int) {
	for size := int64(memory) + 1; ; {
		before := s.wants.Load()
		if before >= size {
			return
		}
		if s.wants.CompareAndSwap(before, size) {
			if before == 0 {
				b.wanting.Add(1)
				b.kick()
			}
			return
		}
	}
}

// wanted ends what want began. It returns true if there was such a write.
func (b *Budget) wanted(s *share) bool {
	if s.wants.Swap(0) == 0 {
		return false
	}
	b.wanting.Add(-1)
	return true
}

// reserve takes credit for a write of n bytes, and memory for it from the budget. Any goroutine may
// call it.
func (c *Connection) reserve(n, memory int) (crossed bool, err error) {
	b := c.shared.budget
	if b == nil {
		return c.credit.reserve(n, &c.shared.limits)
	}
	s := c.share()
	if !b.take(s, memory, writing) {
		if err := c.shared.limits.allow(c.credit.word.Load(), n); err != nil {
			return false, err
		}
		b.refused.Add(1)
		b.want(s, memory)
		if c.state() == closed { // its end has looked for that before
			b.wanted(s)
		}
		return false, protocol.ErrMemoryBudget
	}
	crossed, err = c.credit.reserve(n, &c.shared.limits)
	if err != nil {
		b.add(s, -memory)
	}
	return crossed, err
}

// giveBack gives memory of the queue back to the budget.
func (c *Connection) giveBack(memory int) {
	if b := c.shared.budget; b != nil {
		b.add(c.share(), -memory)
	}
}

// Pieces of reading where there is a budget.
const (
	smallPiece = 256
	mostAhead  = 2 << 10
	firstRead  = 2 << 10 // what the first read of a connection takes where there is room
)

// pieces bounds a read of room bytes where there is a budget: ahead is what a transport may read
// before it is fetched, now what may be fetched at once. Above the high water a connection gets no
// more than a small piece for a beginning.
func (c *Connection) pieces(room int) (ahead, now int) {
	ahead = c.ahead(room)
	if b := c.shared.budget; b != nil && c.input.Len() == 0 && b.Held() >= b.limits.HighWater {
		room = min(room, smallPiece)
	}
	return ahead, room
}

// readsAhead is a transport that may read before it is fetched, into memory of its own.
type readsAhead interface {
	// Ahead returns how much memory it would take to read room bytes ahead; 0 means that it reads
	// already. reads is false if it never does.
	Ahead(room int) (memory int, reads bool)
	// Shrink copies what was read to memory that is no larger than it needs to be.
	Shrink()
}

// ahead bounds the bytes that a transport reads before they are fetched. They count only once they
// are fetched. While there is room the bound is that without a budget. Otherwise it is a small
// piece, and more while reads fill it.
func (c *Connection) ahead(room int) int {
	b := c.shared.budget
	if b == nil {
		return room
	}
	small := smallPiece
	if c.flags.bulk {
		small = mostAhead
	}
	small = min(room, small)
	var memory int
	t, reads := c.conn().(readsAhead)
	if reads {
		memory, reads = t.Ahead(room)
	}
	switch s := c.share(); {
	case !reads && b.Held()+firstRead <= b.limits.HighWater:
		return room
	case !reads:
		return small
	case memory == 0, s.ahead > 0:
		return room
	case memory > small && b.lendAhead(memory):
		s.ahead = memory
		return room
	}
	return small
}

// lendAhead lends n bytes to a transport that reads ahead. They are in no connection's share, as
// they may lie idle for long. So all of them together are no more than an eighth of the budget, and
// none is lent from the high water on.
func (b *Budget) lendAhead(n int) bool {
	if b.Held()+int64(n) > b.limits.HighWater {
		return false
	}
	if b.ahead.Add(int64(n)) > b.limits.Total/8 {
		b.ahead.Add(-int64(n))
		return false
	}
	return true
}

// fetched notes that what the transport had read was fetched, if it was.
func (c *Connection) fetched() {
	if c.shared.budget == nil || c.share().ahead == 0 {
		return
	}
	if memory, _ := c.conn().(readsAhead).Ahead(1); memory > 0 {
		c.returnAhead()
	}
}

// returnAhead gives back what was lent to the transport: it reads no more, or what it read counts
// now.
func (c *Connection) returnAhead() {
	if b := c.shared.budget; b != nil {
		s := c.share()
		b.ahead.Add(-int64(s.ahead))
		s.ahead = 0
	}
}

// copied returns what a copy of n bytes takes of the budget.
func (s *settings) copied(n int) int {
	if s.budget == nil || n == 0 {
		return 0
	}
	return transport.ChunkSize(n)
}

package connection

import (
	"errors"
	"io"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// Pull implements tcpactor.Source. All mail is read, so a Pause that came before the input has
// taken effect. At most one Data is outstanding: only this method makes one, and the next Pull
// comes after that Data was handled.
func (c *Connection) Pull() any {
	phase := c.phase.Load()
	s := state(phase % halfClosed)
	if s == closed {
		return nil // no signal is attended to now: a stopped actor gets no message, and this would go on for ever
	}
	if c.signals.Load() != 0 {
		return attendNow
	}
	switch {
	case phase&securing != 0:
		return c.secure()
	case s == open && c.cause.Load() == nil, s == flushing && c.salvaging() && !c.flags.aborted:
		return c.fetch()
	case s == flushing && c.flags.writerEnded:
		return attendNow // the handler failed while it was shown the last words: there is nothing left to wait for
	case s == closing:
		return c.discard()
	case c.flags.stage == shaking && c.cause.Load() == nil:
		return c.shakeHands()
	}
	return nil
}

// willing reports whether the handler may be shown Data. Any goroutine may call it.
func (c *Connection) willing() bool { return !c.paused.Load() && c.demand.Load() != 0 }

// fetch returns Data if there is something to show, attend if the input is at its end, nil if
// neither.
func (c *Connection) fetch() any {
	if !c.willing() {
		return c.hold()
	}
	if c.flags.forced != unforced {
		if !c.quiet() {
			return nil
		}
		c.flags.forced = unforced
		if c.input.Len() > 0 {
			return c.present(c.flags.inputEnded)
		}
	}
	if c.flags.inputEnded {
		if c.flags.inputKnown || c.state() != open { // the writer's end is all that is waited for
			return c.hold()
		}
		c.signals.Or(signalInputEnded) // a new handler does not know of it
		return attendNow
	}
	room := c.room()
	if room <= 0 { // it was shown whole, and as much as it holds is left
		if c.shared.options.HoldFullReadBuffer {
			c.makeRare().holding.Store(true)
			return c.hold()
		}
		c.signals.Or(signalReadFull)
		return attendNow
	}
	c.holdNoMore()
	if c.phase.Load()&unwatched != 0 {
		c.phase.And(^unwatched)
	}
	// The transport first: asked now, it may read ahead while our writes are still pending.
	ahead, room := c.pieces(room)
	if !c.conn().Ready(ahead) || !c.quiet() {
		return nil
	}
	if !c.affords(room) {
		return c.hold()
	}
	n, err := c.conn().Fill(&c.input, room)
	c.flags.bulk = n >= smallPiece
	c.account()
	if err != transport.ErrAgain {
		c.fetched()
	}
	switch {
	case n > 0:
		c.read.Add(uint64(n))
		if c.input.Len() < c.input.Needed() {
			c.flags.unseen = true
			return attendNow // and not a loop: a peer that sends fast must not keep others from their turn
		}
		return c.present(false)
	case err == nil:
		c.mailbox.Schedule() // a read of nothing is no end: ask again
		return nil
	case err == transport.ErrAgain:
		return nil
	}
	if errors.Is(err, io.EOF) && c.writeFails() {
		return nil
	}
	c.endInput(err)
	eof := errors.Is(err, io.EOF) && c.cause.Load() == nil // a reset is told once: if writing heard of it, it reads as EOF
	if c.input.Len() > 0 && (eof || c.flags.unseen) {
		return c.present(eof)
	}
	return attendNow
}

// writeFails reports whether a write under way is about to say why the input has ended. The kernel
// tells a reset once. If a write hears of it, the next read finds the end of the input, as after a
// FIN; and it may find that before the writer's turn has ended the connection. The kernel may also
// have taken the write before the reset: then its release wakes the connection, as for quiet.
func (c *Connection) writeFails() bool {
	if c.cause.Load() != nil || c.credit.idle() || c.writer.ordered(starved) || !c.conn().Broken() {
		return false
	}
	c.gated.Store(true)
	if c.credit.idle() { // released between the two looks
		c.gated.Store(false)
		return false
	}
	c.Writable() // the writer may not have been told yet
	return c.cause.Load() == nil
}

// holdNoMore notes that the read buffer has room.
func (c *Connection) holdNoMore() {
	if c.shared.options.HoldFullReadBuffer {
		if r := c.rare.Load(); r != nil {
			r.holding.Store(false)
		}
	}
}

// discard drops what the peer still sends after our FIN. A plain close with unread input would
// answer it with RST and destroy the last reply on its way: measured, 50 of 50.
func (c *Connection) discard() any {
	if c.flags.inputEnded {
		return nil
	}
	if !c.conn().Ready(c.ahead(discardRoom)) {
		return nil
	}
	n, err := c.conn().Fill(&c.input, discardRoom)
	c.input.Release()
	c.fetched()
	c.read.Add(uint64(n))
	c.leftUnread(n)
	if n == 0 && err == transport.ErrAgain {
		return nil
	}
	if err != nil {
		c.endInput(err)
	}
	return attendNow // not in a loop of our own: a peer that never stops must not keep others from their turn
}

// arriving reports whether input has come which the next fetch reads.
func (c *Connection) arriving() bool {
	if c.state() != open || c.flags.inputEnded || !c.willing() || !c.writesQuiet() || c.phase.Load()&securing != 0 {
		return false
	}
	ahead, _ := c.pieces(c.room())
	return c.conn().Ready(ahead)
}

const discardRoom = 16 << 10

func (c *Connection) endInput(err error) {
	c.flags.inputEnded = true
	if !errors.Is(err, io.EOF) {
		c.makeRare().inputErr = err
	}
	c.signals.Or(signalInputEnded)
}

// quiet reports whether ReadGate allows Data. If not, the release of the writes wakes the
// connection.
func (c *Connection) quiet() bool {
	if c.writesQuiet() {
		return true
	}
	c.gated.Store(true)
	if !c.writesQuiet() {
		return false
	}
	c.gated.Store(false) // released between the two looks
	return true
}

func (c *Connection) writesQuiet() bool {
	writes, bytes := c.credit.pending()
	switch c.shared.options.ReadGate {
	case GateLowWater:
		return bytes <= c.shared.limits.lowWater || c.ungated()
	case GateOff:
		return true
	default:
		return writes == 0 || c.ungated()
	}
}

// ungated reports whether the handler wants Data also while its own writes are pending.
func (c *Connection) ungated() bool {
	r := c.rare.Load()
	return r != nil && r.ungated.Load()
}

// noteGate notes whether the handler that has just been made is an Ungated one.
func (c *Connection) noteGate() {
	u, is := c.receiver.(tcpactor.Ungated)
	if is = is && u.Ungated(); is || c.ungated() {
		c.makeRare().ungated.Store(is)
	}
}

// writesReleased is called by the writer after it gave credit back.
func (c *Connection) writesReleased() {
	if c.gated.Load() && c.writesQuiet() && c.gated.CompareAndSwap(true, false) {
		c.mailbox.Schedule()
	}
}

// shown is the part of the input that a handler is given. A connection has one only from present to
// takeBack, so that an idle connection is small.
type shown struct {
	from   *Connection
	data   protocol.Data
	buffer protocol.Buffer
}

// source is the connection's side of the buffer.
func (s *shown) source() *protocol.Source { return (*protocol.Source)(&s.buffer) }

var shownPool = sync.Pool{New: func() any { return new(shown) }}

// newShown returns an empty one. A chunk that has been shown before has one with it.
func newShown(chunk *transport.Chunk) *shown {
	if chunk != nil {
		if s, ok := chunk.Kept.(*shown); ok {
			chunk.Kept = nil
			return s
		}
	}
	return shownPool.Get().(*shown)
}

func (c *Connection) present(eof bool) any {
	if c.shown == nil { // or it was presented, and the actor failed before it was shown
		c.shown = newShown(c.input.Chunk())
	}
	s := c.shown
	s.from = c
	s.source().AttachAt(c.read.Load()-uint64(c.input.Len()), c.input.Bytes(), s, eof)
	s.source().Bound(c.shared.mostNeeded)
	s.data = protocol.Data{Socket: c, Buffer: &s.buffer, EOF: eof}
	c.input.Need(0)
	c.flags.unseen = false
	return &s.data
}

// show hands the Data that Pull presented to the handler.
func (c *Connection) show(ctx actor.Context) {
	if demand := c.demand.Load(); demand > 0 {
		c.demand.Store(demand - 1)
	}
	defer c.takeBack() // also where the handler ends the goroutine
	if c.salvaging() {
		c.salvaged()
		defer c.salvaged()
	}
	c.deliver(ctx, &c.shown.data)
}

// takeBack takes from the Buffer what the handler left in it. What was shown goes with the
// chunk from the moment that the chunk is released: then it is another connection's.
func (c *Connection) takeBack() {
	s, chunk, unread := c.shown, c.input.Chunk(), c.input.Len()
	needed, skipped, left := s.buffer.Needed(), s.source().Skipped(), s.buffer.Len()
	ours := chunk != nil && s.source().Storage() != nil
	*s, c.shown = shown{}, nil
	if ours {
		chunk.Kept = s
		c.input.Keep(left)
	} else {
		c.input.Lose() // the memory has changed hands, or the end has dropped it
		shownPool.Put(s)
	}
	if needed > 0 {
		c.need(needed, unread-c.input.Len(), skipped)
	}
	c.account()
}

// noteConsumed drops from the input what the handler has consumed of what it is shown. It changes
// nothing the second time.
func (c *Connection) noteConsumed() {
	s := c.shown
	switch {
	case s == nil || c.input.Chunk() == nil: // the end has dropped it
	case s.source().Storage() == nil:
		c.input.Lose() // the memory has changed hands
	default:
		c.input.Keep(s.buffer.Len())
	}
}

// dropInput drops all unread input. The handler may just have returned from a call in which it
// consumed some of it.
func (c *Connection) dropInput() {
	c.noteConsumed()
	c.leftUnread(c.input.Len())
	c.input.Release()
}

// Readable implements transport.Events. A goroutine that is lent to us runs the turn itself, unless
// the user wants handlers to run elsewhere.
func (c *Connection) Readable(lent bool) {
	if lent && c.shared.options.Dispatcher == nil {
		c.mailbox.Run()
	} else {
		c.mailbox.Schedule()
	}
}

// Writable implements transport.Events.
func (c *Connection) Writable() { c.writer.order(orderWritable) }

// Full implements transport.Events.
func (c *Connection) Full() { c.writer.full() }

func (c *Connection) resume(credit int) {
	c.paused.Store(false)
	switch {
	case credit > 0:
		c.demand.Store(int32(addCredit(int(c.demand.Load()), credit)))
	case c.shared.options.ReadMode == Pull:
		c.demand.Store(max(c.demand.Load(), 1))
	default:
		c.demand.Store(unlimited)
	}
	if c.flags.forced == unforced && c.input.Len() > 0 && c.input.Len() >= c.input.Needed() {
		c.flags.forced = resumed
	}
}

// addCredit adds without overflow. Counting begins at zero, also if the demand was unlimited.
func addCredit(demand, credit int) int {
	const most = 1 << 30 // twice as much is more than 32 bits hold
	return int(min(int64(max(demand, 0))+int64(min(credit, most)), most))
}

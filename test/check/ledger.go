package check

import (
	"slices"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// outcome is the result of a write.
type outcome uint8

const (
	open    outcome = iota // not known yet
	taken                  // accepted
	refused                // not accepted
	either                 // failed with an error that means one or the other
	sent                   // accepted, and its bytes went
	cutOff                 // accepted, and failed
)

// ledger holds the writes of a connection. The pending writes have two bounds. A write is surely
// pending if the kernel cannot have taken it: it lies further behind the peer's reads than the
// network holds. A write may be pending if its release was not seen.
type ledger struct {
	writes []*operation // by Begin
	sure   []*operation // accepted through the handle, by End: possibly still pending, see surely
	total  int          // bytes of all surely accepted writes (or, where writes are dropped, of all that were reported as accepted)
	short  int          // of those, bytes that their files do not have
	unsure int          // bytes of those by mail of which it is not known
	opened []*operation // may be pending
	count  int          // how many those are
	size   int          // and their bytes
	begun  int          // how many writes ever began
	began  int          // and their bytes
	mail   []*operation // by mail, with nothing known about them
	failed []*operation // accepted through the handle, and failed

	offered  int // writes that do not wait and of which it is not known whether they were accepted
	refusals int // writes that were refused for lack of room, or may have been
	refused  int // writes that surely were refused
	denied   int // and their bytes
}

func (l *ledger) begin(c *conn, o *operation) {
	l.writes = append(l.writes, o)
	o.before = l.total - l.short
	o.may, o.maySize, o.begun, o.began = l.count, l.size, l.begun, l.began
	l.begun++
	l.began += o.size
	if o.mail {
		l.mail = append(l.mail, o)
	}
	l.count++
	l.size += o.size
	l.opened = append(l.opened, o)
	c.causes.wrote(c)
	if o.op != history.Wait {
		l.offered++
	}
	options := &c.world.Options
	if options.SlowConsumer == connection.SlowClose && l.offered > 0 && (l.count > options.WriteQueueSize || l.size > options.WriteBufferSize) {
		c.causes.add(protocol.ReasonSlowConsumer)
	}
}

// known notes that the records now tell whether a write was refused.
func (l *ledger) known(o *operation) {
	if o.outcome == open && o.op != history.Wait {
		l.offered--
	}
}

// end is the return of a write through the handle.
func (l *ledger) end(c *conn, o *operation, r *history.Record) {
	o.end = c.at
	if r.Err != nil {
		if r.N != 0 {
			c.fail(AllOrNothing, "%d bytes were taken, and %v", r.N, r.Err)
		}
		l.refuse(c, o, r.Err)
		return
	}
	if r.N != o.size {
		c.fail(AllOrNothing, "%d of %d bytes", r.N, o.size)
	}
	if o.outcome == open {
		l.known(o)
		o.outcome = taken
		if c.drops() {
			o.outcome = either
		}
	}
	l.total += o.size
	l.short += o.short
	l.sure = append(l.sure, o)
	l.bounds(c)
}

// told ends a write by mail when its outcome is told.
func (l *ledger) told(c *conn, o *operation) {
	if o.told > 1 {
		return // see Answered
	}
	switch err := o.err; {
	case err == nil:
		l.accept(c, o, sent)
	case err == protocol.ErrDropped:
		l.refuse(c, o, err)
		l.total += o.size // as for a write through the handle
	case c.mayEndWith(err):
		// The error is a refusal, or the cause of the connection's end. In the second case the
		// write may have been accepted.
		if o.outcome == open {
			l.known(o)
			o.outcome = either
			l.unsure += o.size
			l.release(o)
		} else {
			l.accept(c, o, cutOff) // accepted, as was known already
		}
	case lacksRoom(err), o.tooLarge(c, err), err == history.DeadLetter:
		l.refuse(c, o, err)
	default:
		l.accept(c, o, cutOff)
	}
}

// tooLarge reports whether err refuses a write that does not fit at all. It may also be in the
// error that a connection ended with, if its handler failed with the error of another write.
func (o *operation) tooLarge(c *conn, err error) bool {
	return isTooLarge(err) && o.room() > c.world.Options.WriteBufferSize
}

// accept notes that a write by mail surely was accepted.
func (l *ledger) accept(c *conn, o *operation, as outcome) {
	if o.outcome == open {
		l.known(o)
		l.total += o.size
		o.end = c.at
	}
	o.outcome = as
	if as != taken {
		l.release(o)
	}
}

// mayEndWith reports whether a refusal's error may also be the error that the connection ends with:
// that of another write that was refused.
func (c *conn) mayEndWith(err error) bool {
	slow := c.world.Options.SlowConsumer == connection.SlowClose && lacksRoom(err)
	return slow || isClosed(err) || slices.Contains(c.causes.failures, err)
}

// drops reports whether a write that was reported as accepted may have been dropped.
func (c *conn) drops() bool { return c.world.Options.SlowConsumer == connection.SlowDropNewest }

// refuse checks a write that was not accepted.
func (l *ledger) refuse(c *conn, o *operation, err error) {
	l.known(o)
	l.deny(o, err)
	l.release(o)
	c.refused(o, err)
}

// deny notes that a write was not accepted.
func (l *ledger) deny(o *operation, err error) {
	if o.outcome == refused {
		return
	}
	o.outcome = refused
	l.refused++
	l.denied += o.size
	if lacksRoom(err) || err == history.DeadLetter {
		l.refusals++
	}
}

// release notes that a write is surely not pending.
func (l *ledger) release(o *operation) {
	if !o.released {
		o.released = true
		l.count--
		l.size -= o.size
	}
}

// gone returns the most bytes that the kernel can have taken; from is a bound that never decreases.
// For a peer that has closed the kernel takes any number and discards them.
func (c *conn) gone() (most, from int) {
	if c.world.Network == 0 || c.world.NoPeers || c.input.gone {
		return unknown, 0
	}
	from = len(c.output.received) + c.world.Network
	return from + c.output.reading, from
}

// surely returns the part that is certainly pending of the writes that ended before the given
// record.
func (l *ledger) surely(c *conn, before int) (count, size int) {
	most, from := c.gone()
	for len(l.sure) > 0 && l.sure[0].before+l.sure[0].length() <= from {
		l.sure = l.sure[1:]
	}
	for _, o := range l.sure {
		if o.end < before && o.before+o.length() > most {
			count++
			size += min(o.room(), o.before+o.length()-most)
		}
	}
	return count, size
}

// settle notes a Rest: all mail has been read, and every sender that was refused has been told.
func (l *ledger) settle(c *conn) {
	for _, o := range l.mail {
		if o.outcome == open {
			l.accept(c, o, taken)
			if c.drops() {
				o.outcome = either
			}
		}
	}
	l.mail = l.mail[:0]
	empty := c.nothingPending()
	left := l.opened[:0]
	for _, o := range l.opened {
		if empty {
			l.release(o)
		}
		if !o.released {
			left = append(left, o)
		}
	}
	l.opened = left
}

// outstanding returns, at a Rest, how many accepted bytes the peer has not read.
func (c *conn) outstanding() int { return c.ledger.total - c.ledger.short - len(c.output.received) }

// nothingPending reports, at a Rest, that the kernel has taken all that was accepted.
func (c *conn) nothingPending() bool {
	return c.world.Network > 0 && !c.world.NoPeers && c.causes.none(c) && c.waits.none() && c.outstanding() <= c.world.Network
}

package check

import (
	"context"
	"errors"
	"slices"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// waits follows the writes that wait. The bytes of one are queued in pieces that fit the queue, one
// after the other. Other writes may come in between. In the ledger each piece is a write. How many
// were accepted is not known until the whole returns.
type waits struct {
	open []*operation // under way
	shut bool         // the connection takes no more writes
}

// mostPiece bounds the pieces of a queue that has no other bound.
const mostPiece = 256 << 10

func (w *waits) begin(c *conn, o *operation) {
	w.open = append(w.open, o)
	o.begun = c.ledger.begun
	most := min(c.world.Options.WriteBufferSize, mostPiece)
	for at := 0; ; at += most {
		size := min(most, o.size-at)
		piece := &operation{
			op: history.Wait, by: o.by, begin: o.begin, end: unknown, at: o.at, got: o.got,
			size: size, bytes: o.bytes[at : at+size], whole: o,
		}
		c.ledger.begin(c, piece)
		piece.before = c.ledger.total - c.ledger.short + at
		o.pieces = append(o.pieces, piece)
		if at+size == o.size {
			return
		}
	}
}

// none reports whether no write waits.
func (w *waits) none() bool { return len(w.open) == 0 }

// size returns how many bytes the waiting writes may have queued.
func (w *waits) size() (n int) {
	for _, o := range w.open {
		n += o.size
	}
	return n
}

func (w *waits) expire(o *operation) {
	if o != nil {
		o.expired = true
	}
}

// shutBy notes an operation through the handle that has returned.
func (w *waits) shutBy(o *operation) {
	switch o.op {
	case history.Close, history.CloseWrite, history.Abort:
		w.shut = true
	default:
	}
}

// end is the return of a write that waited.
func (w *waits) end(c *conn, o *operation, r *history.Record) {
	w.open = slices.DeleteFunc(w.open, func(other *operation) bool { return other == o })
	o.end = c.at
	if whole := r.N == o.size; r.N < 0 || r.N > o.size || r.Err == nil && !whole || r.Err != nil && whole && o.size > 0 {
		c.fail(WaitCounts, "%d of %d bytes, with %v", r.N, o.size, r.Err)
		return
	}
	w.cause(c, o, r)
	for at, piece := range o.pieces {
		w.settle(c, piece, r.N-at*o.pieces[0].size, r.Err)
	}
}

// settle notes that n bytes from the beginning of a piece on were accepted, or all of it.
func (w *waits) settle(c *conn, piece *operation, n int, err error) {
	l := &c.ledger
	piece.end = c.at
	if n < piece.size || err != nil && piece.size == 0 {
		rest := piece.size - max(n, 0)
		l.denied += rest
		if n <= 0 {
			piece.outcome = refused
			l.refused++
			l.release(piece)
			return
		}
		if !piece.released {
			l.size -= rest
		}
		piece.size, piece.bytes = n, piece.bytes[:n]
	}
	piece.outcome = taken
	l.total += piece.size
	l.sure = append(l.sure, piece)
	l.bounds(c)
}

// cause checks the error with which a write no longer waits.
func (w *waits) cause(c *conn, o *operation, r *history.Record) {
	switch {
	case r.Err == nil:
	case errors.Is(r.Err, context.Canceled), errors.Is(r.Err, context.DeadlineExceeded) && !errors.Is(r.Err, protocol.ErrWriteTimeout):
		if !r.Expired {
			c.fail(WaitEnds, "%v, and its context is not done", r.Err)
		}
	case !c.endRefuses(o, r.Err):
		c.fail(WaitEnds, "with %v", r.Err)
	}
}

// rest looks for writes that wait for nothing.
func (w *waits) rest(c *conn) {
	for _, o := range w.open {
		switch outside := c.inside == 0; {
		case o.expired:
			c.fail(WaitEnds, "it goes on after its context is done")
		case w.shut, c.closing != nil, outside && (c.causes.shut || c.causes.definite != nil):
			c.fail(WaitEnds, "it goes on after its connection")
		case w.fit(c):
			c.fail(WaitEnds, "it goes on although there is room for all")
		}
	}
}

// fit reports whether all writes that may have been accepted, and those that wait, fit the network.
func (w *waits) fit(c *conn) bool {
	if c.world.Network == 0 || c.world.NoPeers || c.input.gone || !c.causes.none(c) {
		return false
	}
	most := c.ledger.total + c.ledger.unsure + w.size()
	for _, o := range c.ledger.mail {
		if o.outcome == open {
			most += o.size
		}
	}
	return most-len(c.output.received) <= c.world.Network
}

// finish checks an ended connection.
func (w *waits) finish(c *conn) {
	if c.over && !w.none() {
		c.fail(WaitEnds, "%d never did", len(w.open))
	}
}

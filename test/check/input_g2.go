package check

import (
	"bytes"
	"time"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// input follows the bytes from the peer to the handler.
type input struct {
	sent      []byte // what the peer may have sent
	from      int    // where the write of the peer's that goes on begins
	sending   bool
	finished  bool // FIN may be on its way
	gone      bool // so may RST
	goneAt    time.Duration
	reset     bool          // by a reset and no FIN before it
	shownAt   time.Duration // when the last Data came, and when it returned
	sendings  []sending
	rst       bool // by a reset, if not by it alone
	consumed  int
	last      []byte // what the last Data showed
	unread    []byte // what the handler left of it
	shown     int    // how many bytes there have been in all
	eof       bool   // a Data was marked EOF
	told      bool   // PeerClosed came
	calls     int    // Data since the last Rest
	allCalls  int
	unreadWas int  // at the last Rest
	budget    int  // Resumes that may still force a call
	need      int  // how many unread bytes the handler waits for, 0: no number of them
	needed    bool // since the last Data the handler, or one before it, has waited for a number of bytes
	owed      bool // a call with the unread bytes: a new handler has not seen them, or the last one wants them once more
	beyond    int  // how many bytes more than these such a call may show, as they came for what an old handler needed
}

func (in *input) peer(c *conn, r *history.Record) {
	switch r.What {
	case history.Sending:
		in.from, in.sending = len(in.sent), true
		in.sendings = append(in.sendings, sending{in.from, r.At})
		in.sent = append(in.sent, r.Bytes...)
	case history.Sent:
		in.sending = false
		in.sent = in.sent[:in.from+r.N]
		if in.shown > len(in.sent) {
			c.fail(InputPrefix, "%d bytes were shown and %d sent", in.shown, len(in.sent))
		}
	case history.Finishing:
		in.finished = true
	case history.Closing, history.Resetting:
		in.reset = in.reset || r.What == history.Resetting && !in.finished && !in.gone
		in.finished = in.finished || r.What == history.Closing
		in.rst = in.rst || r.What == history.Resetting
		if !in.gone {
			in.gone, in.goneAt = true, r.At
		}
	default:
	}
}

// data checks a Data that begins.
func (in *input) data(c *conn, r *history.Record) {
	end := in.consumed + len(r.Bytes)
	if !c.world.NoPeers && (end > len(in.sent) || !bytes.Equal(in.sent[in.consumed:end], r.Bytes)) {
		c.fail(InputPrefix, "%d bytes from %d on are not those of %d sent", len(r.Bytes), in.consumed, len(in.sent))
	}
	if !bytes.HasPrefix(r.Bytes, in.unread) {
		c.fail(UnreadLeads, "%d bytes were left, %d are shown", len(in.unread), len(r.Bytes))
	}
	if most := max(in.most(c), len(in.unread)+in.beyond); len(r.Bytes) > most {
		c.fail(ReadBound, "%d bytes of at most %d", len(r.Bytes), most)
	}
	if end > in.shown {
		c.causes.came(in.cameAt(r.At, end))
	}
	if len(r.Bytes) < in.need && !r.EOF && !in.gone {
		c.fail(NeededFirst, "%d bytes of %d", len(r.Bytes), in.need)
	}
	if in.owed && len(r.Bytes) > len(in.unread)+in.beyond {
		c.fail(Exactly, "%d bytes were left, %d are shown", len(in.unread), len(r.Bytes))
	}
	news := end > in.shown || r.EOF && !in.eof && len(r.Bytes) > 0
	switch {
	case news, in.owed:
	case in.budget > 0 && len(r.Bytes) > 0:
		in.budget--
	default:
		c.fail(NewsOrResume, "%d bytes, all shown before", len(r.Bytes))
	}
	in.need, in.needed, in.owed, in.beyond = 0, false, false, 0
	in.shownAt = r.At
	in.end(c, r, end)
	in.last = r.Bytes
	in.shown = max(in.shown, end)
	in.calls++
	in.allCalls++
	if c.causes.decided {
		c.fail(NoDataAfter, "although %s", c.causes.why)
	}
}

// sending is a write of the peer's: its first byte's place in the stream, and when it began.
type sending struct {
	from int
	at   time.Duration
}

// cameAt returns when the last of the bytes up to end may have come that are shown now. They come
// when they are shown, unless the handler waits for more: then as soon as they are sent.
func (in *input) cameAt(now time.Duration, end int) time.Duration {
	if !in.needed {
		return now
	}
	at := in.shownAt
	for _, s := range in.sendings {
		if s.from < end {
			at = max(at, s.at)
		}
	}
	return min(at, now)
}

func (in *input) end(c *conn, r *history.Record, end int) {
	switch {
	case in.eof && !r.EOF:
		c.fail(EOFLast, "Data comes after the one that was marked")
	case r.EOF && !c.world.NoPeers && (!in.mayEnd(c) || !in.sending && end != len(in.sent)):
		c.fail(EOFLast, "%d of %d bytes, FIN sent: %v", end, len(in.sent), in.finished)
	}
	in.eof = in.eof || r.EOF
}

// mayEnd reports whether input may have ended in order. A reset that was told to a write looks the
// same: the kernel tells it once.
func (in *input) mayEnd(c *conn) bool { return in.finished || in.gone && c.ledger.begun > 0 }

func (in *input) left(c *conn, r *history.Record) {
	in.consumed += r.N
	in.shownAt = r.At
	in.unread = in.last[r.N:]
	if !r.Failed {
		in.needs(r)
	}
	if len(in.unread) >= in.most(c) && !c.world.Options.HoldFullReadBuffer {
		c.causes.add(protocol.ReasonReadBufferFull)
	}
}

// needs notes what the handler needs after a Data.
func (in *input) needs(r *history.Record) {
	switch {
	case r.Need > len(in.unread) && in.eof: // they do not come
	case r.Need > len(in.unread):
		in.need, in.needed = r.Need, true
		if r.N == 0 {
			in.allCalls-- // it has used up no demand
		}
	case r.Need > 0 && r.N > 0:
		in.owed = len(in.unread) > 0
	}
}

// most returns how many bytes may be shown at once: the read buffer grows in steps of its size.
func (in *input) most(c *conn) int {
	size := c.world.Options.ReadBufferSize
	if n := in.need; n > size {
		return max(n, min((n+size-1)/size*size, c.world.Options.MaxReadBufferSize))
	}
	return size
}

// replaced notes a new handler. What was needed before it is forgotten, and what came for that is
// unread.
func (in *input) replaced(c *conn) {
	if in.need > 0 {
		in.beyond = max(0, in.most(c)-len(in.unread))
	}
	in.need, in.owed = 0, len(in.unread) > 0
}

func (in *input) peerClosed(c *conn) {
	switch {
	case in.told:
		c.fail(PeerClosedTwo, "again")
	case !c.world.Options.KeepOpenOnPeerClosed:
		c.fail(PeerClosedTwo, "without KeepOpenOnPeerClosed")
	case !c.world.NoPeers && (!in.mayEnd(c) || !in.sending && in.shown != len(in.sent)):
		c.fail(PeerClosedTwo, "%d of %d bytes shown, FIN sent: %v", in.shown, len(in.sent), in.finished)
	}
	in.told = true
}

// settle notes a Rest: every Resume has been read, and one without unread bytes forces nothing.
func (in *input) settle() {
	in.budget = min(in.budget, 1, len(in.unread))
	in.calls, in.unreadWas = 0, len(in.unread)
}

// finish checks that an ended connection has shown all input.
func (in *input) finish(c *conn) {
	if c.closed == nil || c.world.NoPeers {
		return
	}
	in.unreadAtEnd(c)
	switch reason := c.closed.Reason; {
	case reason == protocol.ReasonPeerClosed && !in.rst:
	case reason == protocol.ReasonPeerReset, reason == protocol.ReasonPeerClosed: // a reset of which a write was told looks orderly
		// The connection waits for a handler without demand, and as long again after each Data.
		limit := c.world.Options.LingerTimeout
		timely := limit < 0 || c.closedAt-max(in.goneAt, in.shownAt) < limit
		if !c.world.Lossless || !in.gone || !timely || c.prevented() {
			return
		}
	default:
		return
	}
	if in.shown != len(in.sent) {
		c.fail(AllShown, "%d of %d bytes", in.shown, len(in.sent))
	}
}

// prevented reports whether input may have been kept from the handler, by the handler itself or by
// an end that does not wait for it.
func (c *conn) prevented() bool {
	o := &c.world.Options
	return o.HoldFullReadBuffer || c.shutdown || c.causes.possible&^peerReasons != 0 || c.torn || c.judge.torn
}

// unreadAtEnd judges the count of unread bytes. Bytes in the kernel may be included.
func (in *input) unreadAtEnd(c *conn) {
	unread, read := int(c.closed.Stats.Unread), int(c.closed.Stats.Read)
	if unread < read-in.consumed || unread > len(in.sent)-in.consumed && !c.world.Secured {
		c.fail(UnreadCounted, "%d, of %d sent, %d read and %d consumed", unread, len(in.sent), read, in.consumed)
	}
}

// resetAtRest looks for a reset that was not noticed. A reset behind more bytes than are read ahead
// cannot be known. A connection without a descriptor stops reading ahead at a read that was filled.
// No read was filled if its peer never sent as much as one read takes.
func (c *conn) resetAtRest() {
	in := &c.input
	const least = 512 // what a read takes, if there is room
	if in.reset && !in.sending && len(in.sent) < min(least, c.world.Options.ReadBufferSize) && c.closing == nil {
		c.fail(ResetNoticed, "%d bytes before it were not shown", len(in.sent)-in.shown)
	}
}

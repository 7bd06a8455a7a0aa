package check

import (
	"bytes"
	"errors"
	"io"
	"sort"
	"time"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// output follows the bytes to the peer.
type output struct {
	received []byte
	reading  int           // how much a read of the peer's that goes on may take
	got      time.Duration // when it last got something
	fin      bool          // the peer read the server's FIN
	broken   bool          // a call of the peer's failed: an end after it is no FIN
	reads    []reading     // that got something
}

// reading is one read of the peer's.
type reading struct {
	at     time.Duration
	record int
	sum    int // of the bytes that the peer had got with it
}

// since returns how many bytes the peer may have taken out of the network after the reads before a
// time or a record.
func (out *output) since(before func(reading) bool) int {
	i := sort.Search(len(out.reads), func(i int) bool { return !before(out.reads[i]) })
	sum := len(out.received) + out.reading
	if i > 0 {
		sum -= out.reads[i-1].sum
	}
	return sum
}

func (out *output) peer(c *conn, r *history.Record) {
	switch r.What {
	case history.Reading:
		out.reading = r.N
	case history.Got:
		out.reading = 0
		out.received = append(out.received, r.Bytes...)
		if len(r.Bytes) > 0 {
			out.got = r.At
			out.reads = append(out.reads, reading{r.At, c.at, len(out.received)})
			if c.stuck { // at the last Rest; what is written between two of them may have gone, and other writes come
				count, _ := c.ledger.surely(c, unknown)
				c.stuck = count > 0
			}
		}
		out.fin = out.fin || r.Err == io.EOF
		out.broken = out.broken || r.Err != nil && r.Err != io.EOF && !out.fin
	case history.Sent:
		out.broken = out.broken || r.Err != nil
	default:
	}
}

// finish checks that the peer of an ended connection got what was accepted.
func (out *output) finish(c *conn) {
	if !c.accepted {
		if len(out.received) > 0 {
			c.fail(OutputPrefix, "%d bytes, and it was never accepted", len(out.received))
		}
		return
	}
	whole := true
	if !c.world.NoPeers {
		whole = out.follow(c)
	}
	if c.closed == nil {
		return
	}
	stats := c.closed.Stats
	accepted, unsure := c.ledger.total, c.ledger.unsure+c.waits.size()
	for _, o := range c.ledger.mail {
		if o.outcome == open {
			unsure += o.size
		}
	}
	if sum := int(stats.Written + stats.Unsent + stats.Dropped); sum < accepted || sum > accepted+unsure {
		c.fail(Books, "%d written + %d unsent + %d dropped, of %d accepted (and perhaps %d)",
			stats.Written, stats.Unsent, stats.Dropped, accepted, unsure)
	}
	if len(out.received) > int(stats.Written)+c.world.maybeSent() {
		c.fail(Books, "the peer got %d bytes of %d written", len(out.received), stats.Written)
	}
	lost := int(stats.Unsent) - c.ledger.short // what files did not have is not lost
	if c.closed.Err == nil && lost > 0 {
		c.fail(OrderlyEnd, "%v, %d bytes unsent", c.closed.Reason, stats.Unsent)
	}
	if lost > 0 && c.flushes() {
		c.fail(FlushedEnd, "%v (%v), %d bytes unsent", c.closed.Reason, c.closed.Err, stats.Unsent)
	}
	clean := out.fin && !out.broken && !c.world.NoPeers
	if c.world.NoReset && lost > 0 {
		clean = false // a reset, and the connection's own figures tell
	}
	if clean && (!whole || len(out.received) < accepted-c.ledger.short-int(stats.Dropped) || lost > 0) {
		c.fail(WholeAtFIN, "the peer got %d of %d bytes, the last write whole: %v; %d unsent", len(out.received), accepted, whole, stats.Unsent)
	}
}

// flushes reports that nothing can have kept an ended connection from sending all that was
// accepted.
func (c *conn) flushes() bool {
	const cuts = 1<<protocol.ReasonLocalAborted | 1<<protocol.ReasonStopped | 1<<protocol.ReasonPeerReset | 1<<protocol.ReasonShutdown |
		1<<protocol.ReasonWriteTimeout | 1<<protocol.ReasonTransportError
	exits := c.causes.failed // by runtime.Goexit, perhaps, which stops the actor
	switch c.closed.Reason {
	case protocol.ReasonHandlerPanic:
		if !errors.Is(c.closed.Err, protocol.ErrGoexit) {
			exits--
		}
	case protocol.ReasonLocalClosed, protocol.ReasonHandlerError:
	default:
		return false // when it was decided is not known
	}
	if c.world.RealTime || c.causes.definite == nil || c.causes.atEnd&cuts != 0 || exits > 0 {
		return false
	}
	limit := c.world.Options.CloseTimeout
	return limit < 0 || c.closedAt-*c.causes.definite < limit
}

// follow lays the accepted writes along the bytes that the peer got, in an order in which they may
// have been accepted. It reports whether the last one is whole.
func (out *output) follow(c *conn) (whole bool) {
	l := line{received: out.received}
	for _, o := range c.ledger.writes {
		if o.opaque {
			return true
		}
		if o.outcome != refused && o.length() > 0 {
			l.writes = append(l.writes, o)
		}
	}
	if l.lay() {
		return l.whole
	}
	if mixed := (line{received: l.received, writes: l.writes, mixed: true}); mixed.lay() {
		c.fail(WaitUnmixed, "another one's bytes begin at byte %d", l.furthest)
		return true
	}
	for _, o := range c.ledger.writes {
		if rest := out.received[l.furthest:]; o.outcome == refused && o.length() > 0 && bytes.HasPrefix(rest, o.bytes) {
			c.fail(RefusedWrite, "%d bytes at %d", o.length(), l.furthest)
			return true
		}
	}
	c.fail(OutputPrefix, "no accepted write begins at byte %d of %d", l.furthest, len(out.received))
	return true
}

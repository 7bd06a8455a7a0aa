package check

import (
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// rest judges a connection when nothing moves any more.
func (c *conn) rest() {
	c.waits.rest(c)
	if !c.accepted || c.left || c.inside != 0 {
		return // not there; or a handler blocks, and then its mail waits with it
	}
	c.quietFrom = c.at
	c.ledger.settle(c)
	c.pauses.settle(c)
	// There is no wait for a connection that is to end soon: its pause counts.
	leaving := c.shutdown || c.drained > 0 || c.causes.half != nil || c.causes.byNow(c)&only(protocol.ReasonMaxAge) != 0
	if before := c.rested; before.paused != nil && before.paused == c.pauses.sure && before.calls == c.calls && !leaving {
		c.causes.awaits(c, c.now-before.at)
	}
	c.rested = resting{c.now, c.calls, c.pauses.sure}
	c.causes.settle(c)
	if c.world.Instant && c.world.Network > 0 && !c.world.NoPeers && !c.parted && !c.judge.parted {
		c.inputAtRest()
		c.resetAtRest()
		c.completionsAtRest()
	}
	if c.closing != nil && c.output.fin && c.closing.Reason != protocol.ReasonPeerReset { // then the FIN came before the end
		c.permits.give(c)
	}
	c.becomes.rest(c)
	c.input.settle()
	c.unanswered(prompt)
	c.toldAtRest()
	c.room.rest(c)
	c.endAtRest()
	if c.closed == nil {
		c.timeAtRest()
	}
}

// inputAtRest looks for input that waits although nothing prevents it from being shown.
func (c *conn) inputAtRest() {
	possible := c.causes.byNow(c)
	in := &c.input
	if possible&^peerReasons != 0 || !c.gateOpen() || len(in.unread) >= in.most(c) && !in.owed {
		return
	}
	enough := in.need <= len(in.sent)-in.consumed
	waits := in.owed || enough && (in.sending || in.shown != len(in.sent))
	asked := c.pauses.resumed && in.calls == 0
	if possible == 0 && asked && enough && in.unreadWas > 0 {
		c.fail(ResumeForces, "%d unread bytes", in.unreadWas)
	}
	willing := c.pauses.now == running && !c.pauses.counted && c.world.Options.ReadMode == connection.Push
	switch {
	case possible == 0 && (willing || asked) && waits:
		c.fail(InputAtRest, "%d of %d bytes shown, more to come: %v", in.shown, len(in.sent), in.sending)
	case possible != 0 && willing && !in.owed && !in.told && c.closed == nil && c.waits.none() && c.outstanding() <= c.world.Network: // all is flushed
		c.fail(InputAtRest, "the peer has ended, and nothing came of it: %d of %d bytes shown", in.shown, len(in.sent))
	}
}

// gateOpen reports, at a Rest, that the connection's own writes do not hold input back. A write
// that blocks keeps its whole room, however much of it has gone, so all must have gone.
func (c *conn) gateOpen() bool {
	return c.world.Options.ReadGate == connection.GateOff || c.waits.none() && c.outstanding() <= c.world.Network
}

// completionsAtRest looks for writes that went and did not complete.
func (c *conn) completionsAtRest() {
	if !c.nothingPending() {
		return
	}
	for _, o := range c.due {
		switch o.outcome {
		case taken:
			if o.told == 0 {
				c.fail(CompletesAtRest, "%d bytes", o.size)
			}
		default:
		}
	}
}

// endAtRest looks for an end that does not come.
func (c *conn) endAtRest() {
	began := c.causes.definite
	switch {
	case c.closed != nil, c.closing == nil:
	case c.closing.Reason == protocol.ReasonPeerReset:
		c.lingersAtRest()
	case began == nil:
		began = &c.causes.begunAt
	}
	if c.closed != nil || began == nil {
		return
	}
	if c.causes.possible&atOnce != 0 {
		c.fail(EndInTime, "aborted or stopped, and still there")
		return
	}
	o := &c.world.Options
	if o.CloseTimeout < 0 || o.LingerTimeout < 0 {
		return
	}
	if since := max(*began, c.idleSince); c.now-since > overrun(o.CloseTimeout)+overrun(o.LingerTimeout) {
		c.fail(EndInTime, "%v after it was decided", c.now-since)
	}
}

// lingersAtRest looks for a connection that waits too long for a handler without demand, after its
// peer sent input and then a reset.
func (c *conn) lingersAtRest() {
	limit := c.world.Options.LingerTimeout
	since := max(c.causes.begunAt, c.input.shownAt, c.idleSince) // the wait begins once Closing has returned
	if limit > 0 && c.now-since > 2*overrun(limit) {
		c.fail(EndInTime, "%v after its reset, or its last Data", c.now-since)
	}
}

// overrun is a limit with its tolerance: an eighth, or 10 ms.
func overrun(limit time.Duration) time.Duration { return limit + max(limit/8, 10*time.Millisecond) }

// overrunTried is overrun for a limit on a write that waits: the sweep may notice one round later
// what the peer took, and the write is tried once more before the end.
func overrunTried(limit time.Duration) time.Duration { return limit + 2*(overrun(limit)-limit) }

// timeAtRest looks for a connection that has not ended although nothing has moved for longer than
// its limit.
func (c *conn) timeAtRest() {
	o, possible := &c.world.Options, c.causes.byNow(c)
	idle, stalled := only(protocol.ReasonIdleTimeout), only(protocol.ReasonWriteTimeout)
	silent := only(protocol.ReasonReadTimeout)
	listens := !c.pauses.ever && o.ReadMode == connection.Push && !o.HoldFullReadBuffer // so that it is idle while nothing moves
	if listens && !c.causes.timeouts.own() && o.IdleTimeout > 0 && o.CloseTimeout > 0 && o.LingerTimeout > 0 && possible&^(idle|stalled|silent) == 0 &&
		c.now-c.movedAt > overrun(o.IdleTimeout)+overrun(o.CloseTimeout)+overrun(o.LingerTimeout) {
		c.fail(EndInTime, "nothing has moved for %v", c.now-c.movedAt)
	}
	count, _ := c.ledger.surely(c, unknown)
	if count == 0 || !c.stuck {
		c.stuckAt = c.now
	}
	c.stuck = count > 0
	if c.closing != nil { // then CloseTimeout counts
		return
	}
	if since := max(c.stuckAt, c.output.got); c.stuck && o.WriteTimeout > 0 && possible&^(stalled|silent) == 0 && c.now-since > overrunTried(o.WriteTimeout) {
		c.fail(EndInTime, "the peer has taken nothing for %v", c.now-since)
	}
}

// atOnce are the ends that wait for nothing.
var atOnce = only(protocol.ReasonLocalAborted) | only(protocol.ReasonStopped)

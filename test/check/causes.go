package check

import (
	"errors"
	"time"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// reasons is a set of reasons.
type reasons uint32

func only(reason protocol.Reason) reasons { return 1 << reason }

var peerReasons = only(protocol.ReasonPeerClosed) | only(protocol.ReasonPeerReset)

// causes are the events that may have ended a connection, and those that surely did.
type causes struct {
	possible reasons // of events that may end it
	decided  bool    // one of them surely has taken effect: no more Data
	why      string
	definite *time.Duration // when the first of them came that cannot fail to end it
	frozen   reasons        // what was possible at the Rest after that: the first cause is among it
	failures []error        // what handlers returned
	failed   int            // handlers that did not return at all
	atEnd    reasons        // what was possible when Closed came

	since    time.Duration // when it was accepted
	traffic  time.Duration // when a byte was last seen to come
	awaited  time.Duration // how long the peer surely has waited for the server since then
	writing  time.Duration // since when writes may be pending
	mayStall bool
	half     *time.Duration // when the first direction may have ended
	shut     bool           // by CloseWrite, asked for
	begunAt  time.Duration  // when Closing came
	timeouts timeouts
}

func (cs *causes) add(reason protocol.Reason) { cs.possible |= only(reason) }

// peer notes an action of the peer that ends the connection.
func (cs *causes) peer(r *history.Record) {
	switch r.What {
	case history.Finishing:
		cs.add(protocol.ReasonPeerClosed)
		cs.halfClosed(r.At)
	case history.Closing:
		cs.possible |= peerReasons
		cs.halfClosed(r.At)
	case history.Resetting:
		cs.add(protocol.ReasonPeerReset)
	default:
	}
}

// begin notes an operation that ends the connection.
func (cs *causes) begin(o *operation) {
	switch o.op {
	case history.Close:
		cs.add(protocol.ReasonLocalClosed)
	case history.Abort:
		cs.add(protocol.ReasonLocalAborted)
	case history.Stop, history.Poison:
		cs.add(protocol.ReasonStopped)
	case history.CloseWrite:
		cs.halfClosed(o.at)
		cs.shut = true
		return
	default:
		return
	}
	cs.surely(o.at)
}

func (cs *causes) halfClosed(at time.Duration) {
	if cs.half == nil {
		cs.half = &at
	}
}

func (cs *causes) surely(at time.Duration) {
	if cs.definite == nil {
		cs.definite = &at
	}
}

// replaced notes that a handler that panicked has a successor: the panic has not ended the
// connection.
func (cs *causes) replaced() { cs.possible &^= only(protocol.ReasonHandlerPanic) }

// ended notes that a Close or an Abort through the handle has returned. In a handler no Data can be
// under way by then.
func (cs *causes) ended(c *conn, o *operation) {
	if o.by == history.Turn(c.number) && (o.op == history.Close || o.op == history.Abort) {
		cs.decide(o.op.String() + " in a handler")
	}
}

func (cs *causes) decide(why string) {
	if !cs.decided {
		cs.decided, cs.why = true, why
	}
}

// left notes a handler that failed.
func (cs *causes) left(c *conn, r *history.Record) {
	switch {
	case r.Failed:
		cs.failed++
		cs.add(protocol.ReasonHandlerPanic)
		if c.world.Options.RestartHandler.Max > 0 && c.closed == nil {
			c.broken = true // it may be replaced
			return
		}
	case r.Err != nil:
		cs.add(protocol.ReasonHandlerError)
		cs.failures = append(cs.failures, r.Err)
	default:
		return
	}
	cs.surely(r.At)
	cs.decide("a handler has failed")
}

// wrote notes a write that begins.
func (cs *causes) wrote(c *conn) {
	if !cs.mayStall {
		cs.mayStall, cs.writing = true, c.now
	}
}

// came notes a byte that has come.
func (cs *causes) came(at time.Duration) { cs.traffic, cs.awaited = max(cs.traffic, at), 0 }

// awaits notes that the peer has waited for the server for d. This time does not count as idle,
// except between two looks of the sweep.
func (cs *causes) awaits(c *conn, d time.Duration) {
	limit := cs.timeouts.longest(&c.world.Options)
	cs.awaited += max(0, d-(overrun(limit)-limit))
}

// byNow returns the reasons that may have ended the connection by now, those of the clock included.
func (cs *causes) byNow(c *conn) reasons {
	o, all := &c.world.Options, cs.possible
	overBy := func(at, limit, since time.Duration) bool { return limit > 0 && (c.world.RealTime || at-since >= limit) }
	over := func(limit, since time.Duration) bool { return overBy(c.now, limit, since) }
	silent := max(cs.since, cs.traffic) + cs.awaited
	if cs.timeouts.any(o, c.now, func(s *setting, at time.Duration) bool { return overBy(at, s.Idle, max(silent, s.idleFrom)) }) {
		all |= only(protocol.ReasonIdleTimeout)
	}
	if cs.timeouts.any(o, c.now, func(s *setting, at time.Duration) bool { return overBy(at, s.Read, max(silent, s.readFrom)) }) {
		all |= only(protocol.ReasonReadTimeout)
	}
	if cs.mayStall && over(o.WriteTimeout, cs.writing) {
		all |= only(protocol.ReasonWriteTimeout)
	}
	if cs.half != nil && over(o.HalfCloseTimeout, max(*cs.half, cs.traffic)) {
		all |= only(protocol.ReasonHalfCloseTimeout)
	}
	if cs.timeouts.any(o, c.now, func(s *setting, at time.Duration) bool { return overBy(at, s.MaxAge-s.MaxAge/10, cs.since) }) {
		all |= only(protocol.ReasonMaxAge)
	}
	if c.shutdown {
		all |= only(protocol.ReasonShutdown)
	}
	if c.input.mayEnd(c) {
		all |= only(protocol.ReasonPeerClosed)
	}
	return all
}

// none reports whether nothing can have ended the connection yet.
func (cs *causes) none(c *conn) bool { return cs.byNow(c) == 0 }

// settle notes a Rest: every event that ends the connection has begun to.
func (cs *causes) settle(c *conn) {
	if c.nothingPending() {
		cs.mayStall = false
	}
	if cs.definite == nil {
		return
	}
	cs.decide("something else has ended it")
	if cs.frozen == 0 {
		cs.frozen = cs.byNow(c)
	}
}

// own checks whether a reason is possible by now.
func (cs *causes) own(c *conn, reason protocol.Reason, err error) bool {
	if cs.byNow(c)&only(reason) != 0 {
		return true
	}
	rule := OwnReason
	if limit := cs.timeouts.longest(&c.world.Options); limit > 0 && (reason == protocol.ReasonIdleTimeout || reason == protocol.ReasonReadTimeout) {
		rule = NotIdle
	}
	c.fail(rule, "%v (%v)", reason, err)
	return false
}

// closed checks the reason of an end.
func (cs *causes) closed(c *conn) {
	reason, err := c.closed.Reason, c.closed.Err
	cs.atEnd = cs.byNow(c)
	if c.closing == nil && !cs.own(c, reason, err) || cs.atEnd&only(reason) == 0 {
		return // Closing was judged for it
	}
	if cs.frozen != 0 && cs.frozen&only(reason) == 0 {
		c.fail(FirstCause, "%v (%v), after %s", reason, err, cs.why)
	}
	switch reason {
	case protocol.ReasonHandlerPanic:
		var panicked *protocol.PanicError
		if !errors.As(err, &panicked) && !errors.Is(err, protocol.ErrGoexit) {
			c.fail(OwnError, "a panic came to %v", err)
		}
	case protocol.ReasonHandlerError:
		for _, failure := range cs.failures {
			if errors.Is(err, failure) {
				return
			}
		}
		c.fail(OwnError, "%v is none of %v", err, cs.failures)
	default:
	}
}

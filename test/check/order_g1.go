package check

import (
	"slices"
	"time"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// order checks a call that begins.
func (c *conn) order(r *history.Record) {
	if c.inside != 0 {
		c.fail(NoOverlap, "%v begins inside call #%d", r.Call, c.inside)
	}
	if c.closed != nil {
		c.fail(ClosedLast, "%v comes after Closed", r.Call)
	}
	c.becomes.call(c, r)
	switch {
	case c.accepted && r.Call == history.Accepted && (c.broken || c.becomes.brings(r)):
		c.replaced(r)
		return
	case c.broken && r.Call == history.Data:
		c.fail(AcceptedFirst, "%v, for a handler that has panicked", r.Call)
	}
	if first := !c.accepted; first != (r.Call == history.Accepted) {
		c.fail(AcceptedFirst, "%v, with the first call still to come: %v", r.Call, first)
	}
}

// begins checks a Closing.
func (c *conn) begins(closing *protocol.Closing) {
	if c.closing != nil {
		c.fail(ClosingOnce, "%v, after %v", closing.Reason, c.closing.Reason)
	}
	c.closing, c.causes.begunAt = closing, c.now
	c.causes.own(c, closing.Reason, closing.Err)
	c.causes.add(closing.Reason) // even if the clock says something else later
}

// wasTold checks a connection at its Closed.
func (c *conn) wasTold() {
	switch {
	case c.closing == nil:
		c.fail(ClosingOnce, "it did not come before Closed")
	case c.closing.Reason != c.closed.Reason:
		c.fail(ClosingOnce, "the end was to be %v, and is %v", c.closing.Reason, c.closed.Reason)
	}
}

// toldAtRest looks for an end that has begun without a call that tells the handler.
func (c *conn) toldAtRest() {
	if c.causes.definite != nil && c.closing == nil {
		c.fail(ClosingOnce, "it has not come, although %s", c.causes.why)
	}
}

// replaced notes a handler in the place of one that panicked, or had to make room for it. The new
// one is told the current state again, and is shown unread bytes again.
func (c *conn) replaced(r *history.Record) {
	if c.closing != nil {
		c.fail(AcceptedFirst, "for another handler, after the end has begun")
	}
	if c.becomes.brings(r) {
		c.becomes.comes(c, r)
		if r.N != 0 && !c.broken { // the first one may have panicked before it had its Accepted
			c.fail(AcceptedFirst, "restart %d of a handler that a Become has brought", r.N)
		}
		c.replacements = r.N
	} else {
		c.restarted(r)
	}
	c.broken = false
	c.causes.replaced()
	c.watered, c.drained, c.input.told = false, 0, false
	c.room.replaced()
	c.input.replaced(c)
}

// restarted checks a handler in the place of one that panicked.
func (c *conn) restarted(r *history.Record) {
	c.replacements++
	c.restarts = append(c.restarts, r.At)
	within := slices.DeleteFunc(slices.Clone(c.restarts), func(at time.Duration) bool { return r.At-at >= c.world.Options.RestartHandler.Within })
	if most := c.world.Options.RestartHandler.Max; r.N != c.replacements || len(within) > most {
		c.fail(AcceptedFirst, "restart %d, said to be %d, with %d lately of at most %d", c.replacements, r.N, len(within), most)
	}
}

// orderAtEnd judges a connection that gets no more records.
func (c *conn) orderAtEnd() {
	if c.accepted && c.closed == nil && c.over {
		c.fail(ClosedLast, "it never came")
	}
}

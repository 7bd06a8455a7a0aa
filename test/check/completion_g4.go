package check

import (
	"errors"
	"io"

	"github.com/go-berth/berth/protocol"
)

// completed checks the completion of a write through the handle. late says that it came after
// Closed.
func (c *conn) completed(o *operation, late bool) {
	switch {
	case o.told > 1:
		c.fail(CompletesOnce, "a second time, with %v", o.err)
	case o.outcome == refused:
		c.fail(CompletesOnce, "although it was refused, with %v", o.err)
	case late:
		c.fail(CompletesBefore, "it came after, with %v", o.err)
	}
	c.ledger.release(o)
	if o.err == protocol.ErrDropped && c.drops() {
		c.ledger.known(o)
		c.ledger.deny(o, o.err)
		return
	}
	c.ledger.known(o)
	if o.short > 0 && errors.Is(o.err, io.ErrUnexpectedEOF) {
		o.outcome = cutOff // by its file
		return
	}
	if o.err != nil {
		o.outcome = cutOff
		c.ledger.failed = append(c.ledger.failed, o)
		return
	}
	o.outcome = sent
	if o.short > 0 {
		c.fail(SuccessIsGone, "%d bytes, of which its file has %d", o.size, o.length())
	}
	if most, _ := c.gone(); o.before+o.length() > most {
		c.fail(SuccessIsGone, "bytes up to %d, and at most %d can have gone", o.before+o.length(), most)
	}
}

// completions checks an ended connection.
func (c *conn) completions() {
	succeeded, failed := 0, 0
	for _, o := range c.ledger.writes {
		switch {
		case o.mail:
		case o.asked && o.told == 0 && (o.outcome == taken || o.outcome == either) && c.over:
			c.fail(CompletesOnce, "never")
		}
		switch o.outcome {
		case taken, open, either:
			if o.token && !o.asked && o.told == 0 && c.over { // a failure would have been told
				succeeded += o.size
			}
		case sent:
			succeeded += o.size
		case cutOff:
			failed += o.size
		default:
		}
	}
	if c.closed == nil {
		return
	}
	if written := int(c.closed.Stats.Written); succeeded > written {
		c.fail(SuccessIsGone, "%d bytes completed with success and %d were written", succeeded, written)
	}
	for _, o := range c.ledger.failed {
		if c.closed.Err != nil && !errors.Is(o.err, c.closed.Err) {
			c.fail(FailureIsEnd, "%v, where the connection ended with %v", o.err, c.closed.Err)
		}
	}
}

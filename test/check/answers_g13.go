package check

import (
	"slices"

	"github.com/go-berth/berth/test/history"
)

// answer notes that the outcome of an operation was told. late says that a callback after Closed
// told it.
func (c *conn) answer(o *operation, late bool) {
	if (o.op == history.Write || o.op == history.File) && !o.mail {
		return // see G4
	}
	switch {
	case o.op == history.Send && o.told > 1:
		c.fail(NoLoss, "a message came to %d ends", o.told)
	case o.told > 1:
		c.fail(Answered, "%v a second time, with %v", o.op, o.err)
	case !o.asked && !(o.token && o.err != nil) && o.op != history.Send && o.err != history.DeadLetter:
		c.fail(Answered, "%v, where none was asked for", o.op)
	case late && o.err == nil && !endless(o), late && o.err != nil && !isClosed(o.err):
		c.fail(CompletesBefore, "%v after it, with %v", o.op, o.err)
	}
}

// endless reports whether an operation has its effect on an ended connection already.
func endless(o *operation) bool {
	return o.op == history.Close || o.op == history.Abort || o.op == history.Detach
}

// unanswered checks the answers that were due.
func (c *conn) unanswered(due func(o *operation) bool) {
	for _, o := range c.due {
		if o.told > 0 || !due(o) {
			continue
		}
		switch {
		case o.op == history.Send:
			c.fail(NoLoss, "a message was neither handled nor dead-lettered")
		case o.mail || o.op != history.Write && o.op != history.File:
			c.fail(Answered, "%v never was", o.op)
		}
	}
	c.due = slices.DeleteFunc(c.due, func(o *operation) bool { return o.told > 0 || due(o) })
}

// prompt reports whether an operation is answered as soon as it is read.
func prompt(o *operation) bool {
	return o.op == history.Pause || o.op == history.Resume || o.op == history.Become || o.op == history.Info && o.mail || o.op == history.Send
}

// token judges the answer to the sender of a Write: a Token comes with a failure.
func (c *conn) token(o *operation, r *history.Record) {
	switch wanted := o.token && r.Err != nil; {
	case r.Err == history.DeadLetter: // the message itself, with its token
	case wanted != r.Token:
		c.fail(Token, "it has one: %v, it came back: %v, with %v", o.token, r.Token, r.Err)
	case o.token && !o.asked && r.Err == nil:
		c.fail(Token, "success was told")
	}
}

package check

import (
	"slices"

	"github.com/go-berth/berth/test/history"
)

// becomes follows the handlers of a connection that come by Become. Each goes through the
// connection's mailbox: those of one issuer take effect in their order, and at a Rest all of them
// have.
type becomes struct {
	kind    int          // the Become whose handler is there, 0: the listener's
	handler int          // its number, 0: not known
	due     []*operation // those whose handlers may still come
}

func (b *becomes) begin(o *operation) { b.due = append(b.due, o) }

// end is the return of a call: without an error it only says that the Become is on its way.
func (b *becomes) end(c *conn, o *operation, err error) {
	if err != nil {
		b.refused(c, o, err)
	}
}

// told notes the answer.
func (b *becomes) told(c *conn, o *operation) {
	switch {
	case o.told > 1: // see Answered
	case o.err != nil:
		b.refused(c, o, o.err)
	case slices.Contains(b.due, o):
		c.fail(BecomesOnce, "the answer comes before the handler")
	}
}

func (b *becomes) refused(c *conn, o *operation, err error) {
	switch i := slices.Index(b.due, o); {
	case i < 0:
		c.fail(BecomesOnce, "%v, although its handler has come", err)
		return
	default:
		b.due = slices.Delete(b.due, i, i+1)
	}
	if err != history.DeadLetter && (!isClosed(err) || c.causes.none(c)) {
		c.fail(BecomesOnce, "%v, and nothing has ended the connection", err)
	}
}

// call checks which handler a call comes to.
func (b *becomes) call(c *conn, r *history.Record) {
	if r.Handler == 0 || r.Call == history.Accepted {
		return
	}
	if b.handler != 0 && r.Handler != b.handler {
		c.fail(LastHandler, "%v comes to handler %d, and the last one is %d", r.Call, r.Handler, b.handler)
	}
}

// brings reports whether an Accepted comes by a Become, and not after a panic.
func (b *becomes) brings(r *history.Record) bool { return r.Of != b.kind }

// comes checks a handler that a Become has brought.
func (b *becomes) comes(c *conn, r *history.Record) {
	o := c.operation(r.Of)
	i := slices.Index(b.due, o)
	if o == nil || i < 0 {
		c.fail(BecomesOnce, "a handler of #%d, which is no Become of it, or was refused, or has brought one", r.Of)
		return
	}
	for _, before := range b.due[:i] {
		if before.by == o.by {
			c.fail(BecomesOnce, "that of record %d comes, and that of record %d has not", o.begin, before.begin)
		}
	}
	b.due = slices.Delete(b.due, i, i+1)
}

// rest looks for one that has not had its effect, although nothing has ended the connection.
func (b *becomes) rest(c *conn) {
	if len(b.due) > 0 && c.causes.none(c) {
		c.fail(BecomesOnce, "the handler of record %d has not come", b.due[0].begin)
	}
}

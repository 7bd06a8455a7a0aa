package connection

import "context"

// This file is for a goroutine that waits for the connection anyway: it does the connection's work
// itself, so that no other goroutine has to be woken for that.

// WriteAtOnce is WriteContext, and writes on the calling goroutine where the transport does not
// block. Every call is a system call, so it is for callers that are no handlers. Any goroutine may
// call it.
func (c *Connection) WriteAtOnce(ctx context.Context, p []byte) (int, error) {
	return c.writeAll(ctx, p, c.postAtOnce)
}

// postAtOnce is post, and runs the writer's turn. A turn that is under way elsewhere goes on with
// the entry.
func (c *Connection) postAtOnce(e *entry, crossed bool) {
	w := &c.writer
	if w.inbox.push(e) && (c.conn().Blocks() || !w.mailbox.RunNow()) {
		w.mailbox.Schedule()
	}
	if crossed {
		c.signal(signalWater)
	}
}

// ResumeAtOnce is Resume, and runs the connection's turn on the calling goroutine: the handler is
// shown what there is before the call returns, unless a turn is under way elsewhere or a Dispatcher
// is set. The turn may run any call of the handler, and completions. Any goroutine may call it; on
// the connection's own turn it takes effect after the call.
func (c *Connection) ResumeAtOnce() {
	c.signals.Or(signalResume)
	if c.shared.options.Dispatcher != nil || !c.mailbox.RunNow() {
		c.mailbox.Schedule()
	}
}

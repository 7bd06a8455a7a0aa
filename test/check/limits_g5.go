package check

import (
	"errors"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// bounds checks the writes that surely are pending.
func (l *ledger) bounds(c *conn) {
	o := &c.world.Options
	count, size := l.surely(c, unknown)
	if count > o.WriteQueueSize {
		c.fail(QueueBound, "%d writes of at most %d", count, o.WriteQueueSize)
	}
	if size > o.WriteBufferSize {
		c.fail(BufferBound, "%d bytes of at most %d", size, o.WriteBufferSize)
	}
}

// info judges what the connection itself reports as pending.
func (l *ledger) info(c *conn, info *protocol.Info) {
	o := &c.world.Options
	if info == nil {
		return
	}
	if info.QueuedWrites > o.WriteQueueSize {
		c.fail(QueueBound, "Info says %d writes of at most %d", info.QueuedWrites, o.WriteQueueSize)
	}
	if info.QueuedBytes > o.WriteBufferSize {
		c.fail(BufferBound, "Info says %d bytes of at most %d", info.QueuedBytes, o.WriteBufferSize)
	}
}

// refused checks that there was a reason for the error of a write that was not accepted.
func (c *conn) refused(o *operation, err error) {
	options := &c.world.Options
	// All other writes that may have been pending at any time from its beginning to its end.
	count := o.may + c.ledger.begun - o.begun - 1
	size := o.maySize + c.ledger.began - o.began - o.size
	if c.endRefuses(o, err) {
		return
	}
	if tooLarge := o.room() > options.WriteBufferSize; isTooLarge(err) != tooLarge &&
		(!tooLarge || lacksRoom(err)) {
		c.fail(RightError, "%v, for %d bytes of at most %d", err, o.size, options.WriteBufferSize)
		return
	}
	switch err {
	case protocol.ErrDropped:
		if !c.drops() {
			c.fail(RightError, "%v, which is not the policy", err)
		}
	case protocol.ErrWriteQueueFull:
		if count < options.WriteQueueSize {
			c.fail(RightError, "%v, with at most %d of %d writes pending", err, count, options.WriteQueueSize)
		}
	case protocol.ErrWriteBufferFull:
		if size+o.room() <= options.WriteBufferSize {
			c.fail(RightError, "%v, with at most %d of %d bytes pending and %d to come", err, size, options.WriteBufferSize, o.room())
		}
		if sure, _ := c.ledger.surely(c, o.begin); sure >= options.WriteQueueSize {
			c.fail(CountFirst, "%v, with %d writes pending of at most %d", err, sure, options.WriteQueueSize)
		}
	case history.DeadLetter:
		// It is the error of a Write without a question, for any reason, or of another one after
		// the end.
		if o.asked && c.causes.none(c) {
			c.fail(RightError, "%v, and nothing has ended it", err)
		}
	default:
		if !isTooLarge(err) {
			c.fail(RightError, "%v", err)
		}
	}
}

// endRefuses checks a write that was refused because the connection takes no more. It returns false
// if err says something else.
func (c *conn) endRefuses(o *operation, err error) bool {
	switch {
	case transport.IsReset(err):
		if !c.world.NoPeers && !c.input.gone {
			c.fail(RightError, "%v, and the peer is there", err)
		}
	case err != protocol.ErrClosed:
		return false
	case o.begun == 0 && c.reset():
		c.fail(RightError, "%v, where nothing but the peer can have ended it", err)
	case c.causes.none(c) && c.causes.half == nil:
		c.fail(RightError, "%v, and nothing has ended it", err)
	}
	return true
}

// isTooLarge reports whether err refuses a write that would not fit into an empty queue. A handler
// that panics with such an error ends its connection with it.
func isTooLarge(err error) bool {
	_, panicked := errors.AsType[*protocol.PanicError](err)
	return !panicked && errors.Is(err, protocol.ErrWriteTooLarge)
}

// lacksRoom reports whether err refuses a write for lack of room.
func lacksRoom(err error) bool {
	return err == protocol.ErrWriteQueueFull || err == protocol.ErrWriteBufferFull
}

// reset reports whether only a reset by the peer can have ended the connection, or one direction of
// it. A reset that a write was told of does not count: after that it looks like an orderly end.
func (c *conn) reset() bool {
	others := c.causes.byNow(c) &^ peerReasons
	return others == 0 && c.input.gone && !c.input.finished && c.causes.half == nil
}

// isClosed reports whether err is one with which a connection refuses calls after its end has
// begun.
func isClosed(err error) bool { return err == protocol.ErrClosed || transport.IsReset(err) }

// writable checks a Writable.
func (c *conn) writable(ready bool) {
	switch {
	case !ready && !c.room.mayBeFull(c):
		c.fail(Alternating, "without a HighWater or a refusal")
	case ready && !c.watered, c.watered && ready == c.water:
		c.fail(Alternating, "ready: %v", ready)
	}
	c.water, c.watered = ready, true
	c.room.writable(c, ready)
}

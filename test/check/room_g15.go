package check

import (
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// room follows the refusals of writes for lack of room, and the reports of room.
type room struct {
	refusedFrom int         // the beginning of the last write that surely was refused
	readyAt     int         // the record of the last Writable with ready
	full        int         // how often there was a Writable without ready
	reminders   int         // how many of those may have repeated an earlier one: to new handlers
	senders     map[int]int // of mail: how many of their writes were refused since they were told of room
	quietAt     int         // the record of the last Rest outside of a call
}

// outcome judges the reported result of a write that does not wait.
func (rm *room) outcome(c *conn, o *operation, r *history.Record) {
	dropped := r.Err == protocol.ErrDropped && c.drops()
	refusal := lacksRoom(r.Err) && (r.What == history.End || o.mail && o.outcome == refused)
	if !dropped && !refusal {
		return
	}
	rm.judge(c, o, r)
	if c.world.Options.SlowConsumer != connection.SlowRefuse {
		return
	}
	rm.refusedFrom = max(rm.refusedFrom, o.begin)
	if o.from > 0 {
		if rm.senders == nil {
			rm.senders = map[int]int{}
		}
		rm.senders[o.from]++
	}
}

// busy is how long a write may take on an idle machine. A write that took longer may have been
// refused because the writer got no time.
const busy = 40 * time.Millisecond

// judge checks that the kernel can have been full when a write was refused. If anything was
// pending, the kernel was full at the beginning of that moment. So by now it takes no more than the
// peer has taken out of it since.
func (rm *room) judge(c *conn, o *operation, r *history.Record) {
	if c.input.gone || c.world.NoPeers {
		return
	}
	if r.Room > 0 {
		most := c.output.since(func(read reading) bool { return read.at < o.at })
		if n := r.Room - 1; n > most {
			c.fail(RefusedFull, "it takes %d bytes, and the peer has read at most %d", n, most)
		}
	}
	rm.firstFill(c, o, r)
}

// firstFill judges a write that was refused before the peer had read anything. The writes before it
// must have filled the kernel and the queue.
func (rm *room) firstFill(c *conn, o *operation, r *history.Record) {
	kernel, l := c.world.Kernel, &c.ledger
	if kernel.Writes == 0 || o.got > 0 || c.now-o.at > busy {
		return
	}
	writes, bytes := kernel.Writes, kernel.Bytes
	switch r.Err {
	case protocol.ErrWriteQueueFull:
		writes += c.world.Options.WriteQueueSize
	case protocol.ErrWriteBufferFull:
		bytes += c.world.Options.WriteBufferSize - o.size + 1
	}
	if most, mostBytes := l.begun-l.refused, l.began-l.denied; most < writes && mostBytes < bytes {
		c.fail(RefusedFull, "%v, behind at most %d writes of %d bytes in all", r.Err, most, mostBytes)
	}
}

// slow judges the beginning of a slow consumer's end: the refused write came after the last Rest.
func (rm *room) slow(c *conn, r *history.Record) {
	if r.Room == 0 || c.input.gone || c.world.NoPeers {
		return
	}
	most := c.output.since(func(read reading) bool { return read.record < rm.quietAt })
	if n := r.Room - 1; n > most {
		c.fail(RefusedFull, "a slow consumer, for which it takes %d bytes, and the peer has read at most %d", n, most)
	}
}

// mayBeFull reports that there may be a reason for a Writable without ready.
func (rm *room) mayBeFull(c *conn) bool {
	o := &c.world.Options
	if o.HighWater > 0 {
		return true
	}
	return o.SlowConsumer == connection.SlowRefuse && rm.full-rm.reminders < c.ledger.offered+c.ledger.refusals
}

// writable notes a Writable.
func (rm *room) writable(c *conn, ready bool) {
	if ready {
		rm.readyAt = c.at
	} else {
		rm.full++
	}
}

// replaced notes a new handler: none of its writes was refused.
func (rm *room) replaced() {
	rm.refusedFrom = 0
	rm.reminders++
}

// told checks a WriteReady.
func (rm *room) told(c *conn, sender int) {
	if rm.senders[sender] == 0 {
		c.fail(SenderTold, "sender %d, of whose writes none was refused since the last time", sender)
	}
	delete(rm.senders, sender)
}

// rest looks for refusals that no report follows although there is room.
func (rm *room) rest(c *conn) {
	rm.quietAt = c.at
	if c.closed != nil || c.broken || c.causes.shut || !c.nothingPending() {
		return
	}
	if rm.refusedFrom > rm.readyAt {
		c.fail(RoomFollows, "it began with record %d", rm.refusedFrom)
		rm.refusedFrom = 0
	}
	if c.watered && !c.water {
		c.fail(RoomFollows, "the last word is that it is not ready")
		c.water = true
	}
	for sender, n := range rm.senders {
		c.fail(SenderTold, "sender %d has not been, of whose writes %d were refused", sender, n)
		delete(rm.senders, sender)
	}
}

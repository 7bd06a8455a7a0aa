package check

import (
	"math"
	"time"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// conn is one connection, as the records so far show it.
type conn struct {
	*judge
	number int
	parted bool
	torn   bool // it was parted before

	accepted  bool
	broken    bool              // the handler panicked, and may get a successor
	closing   *protocol.Closing // nil until its end has begun
	closed    *protocol.Closed  // nil while it lives
	closedAt  time.Duration
	left      bool          // the call of Closed has returned
	holds     bool          // it surely holds a permit
	mayHold   bool          // it may
	inside    int           // the call that goes on, 0 if none
	idleSince time.Duration // when the last call returned
	movedAt   time.Duration // when something was last seen of it
	stuck     bool          // writes surely were pending at the last Rest
	stuckAt   time.Duration // since when
	entered   time.Duration // when the call that goes on began
	calls     int           // how many have begun
	rested    resting       // the last Rest
	quietFrom int           // the record of that, or of the last Rest: what was sent before it is read before the next Data

	ledger   ledger
	input    input
	output   output
	pauses   pauses
	causes   causes
	room     room
	waits    waits
	due      []*operation // asked for, or a message, and not answered
	water    bool         // the last Writable said ready; at first it could have
	watered  bool
	drained  int
	becomes  becomes
	restarts []time.Duration // of the handler
	// Those of the handlers of one kind: since the last Become.
	replacements int
}

// resting is the state that a Rest found.
type resting struct {
	at     time.Duration
	calls  int        // that had begun
	paused *operation // the Pause that surely was in effect, nil if none was
}

// operation is one operation on a connection, a write among them.
type operation struct {
	op          history.Op
	by          int
	mail, asked bool
	token       bool
	from        int // the sender of mail, 0 if there is none
	begin, end  int // records; end is that from which on it surely has had its effect, unknown until then
	at          time.Duration
	told        int   // how often its outcome was told
	err         error // what was told last
	credit      int   // of a Resume

	// Of a write.
	size     int
	bytes    []byte
	short    int  // bytes of size that its file does not have
	opaque   bool // a file of which the bytes are not known
	outcome  outcome
	before   int  // bytes that surely go out before it
	released bool // surely not pending any more
	got      int  // what the peer had read when it began
	// Of a Wait; and of its pieces, each of which is a write in the ledger.
	pieces  []*operation
	whole   *operation // of a piece
	expired bool
	// When it began:
	may, maySize int // writes that may have been pending, and their bytes
	begun, began int // writes that had begun before, and their bytes
}

// length is how many bytes can go out.
func (o *operation) length() int { return o.size - o.short }

// room is its part of the write buffer.
func (o *operation) room() int {
	if o.op == history.File {
		return 0
	}
	return o.size
}

// unknown is the end of an operation whose end is not known.
const unknown = math.MaxInt/2 + 1

func (c *conn) fail(rule Rule, format string, values ...any) {
	c.judge.fail(c.number, rule, format, values...)
}

func (c *conn) ended() bool { return c.left }

func (c *conn) see(r *history.Record) {
	c.movedAt = r.At
	switch r.What {
	case history.Enter:
		c.enterCall(r)
	case history.Leave:
		c.leaveCall(r)
	case history.Begin:
		c.begin(r)
	case history.End:
		c.end(r)
	case history.Answer:
		c.told(r)
	case history.Expired:
		c.waits.expire(c.operation(r.ID))
	case history.RoomTold:
		c.room.told(c, r.From)
	case history.Parted, history.Healed:
		c.parted = r.What == history.Parted
		c.torn = true
	case history.Dialed:
		c.permits.dialed++
	default:
		c.input.peer(c, r)
		c.output.peer(c, r)
		c.causes.peer(r)
	}
}

func (c *conn) enterCall(r *history.Record) {
	c.order(r)
	c.inside = r.ID
	c.entered = r.At
	c.calls++
	switch r.Call {
	case history.Accepted:
		if !c.accepted {
			c.causes.since = r.At
			c.permits.take(c)
		}
		c.accepted = true
		c.becomes.kind, c.becomes.handler = r.Of, r.Handler
	case history.Data:
		c.input.data(c, r)
		c.pauses.data(c)
		c.gate()
	case history.PeerClosed:
		c.input.peerClosed(c)
	case history.Writable:
		c.writable(r.Ready)
	case history.Draining:
		c.draining()
	case history.Completion:
		c.told(r)
	case history.Message:
		if o := c.operation(r.Of); o != nil {
			o.told++
		}
	case history.EndBegun:
		c.begins(r.Closing)
		c.permits.mayGive(c)
		c.room.slow(c, r)
	case history.Closed:
		c.closed, c.closedAt = r.Closed, r.At
		c.causes.closed(c)
		c.wasTold()
	default:
	}
}

func (c *conn) leaveCall(r *history.Record) {
	c.inside = 0
	c.idleSince, c.quietFrom = r.At, c.at
	c.causes.awaits(c, r.At-c.entered)
	switch r.Call {
	case history.Data:
		c.input.left(c, r)
	case history.Closed:
		c.left = true
		c.permits.give(c)
	default:
	}
	if r.Call != history.Closed {
		c.causes.left(c, r)
	}
}

func (c *conn) begin(r *history.Record) {
	o := &operation{
		op: r.Op, by: r.By, mail: r.Mail, asked: r.Asked, token: r.Token, from: r.From, begin: c.at, end: unknown, at: r.At,
		size: r.N, bytes: r.Bytes, opaque: r.Op == history.File && r.Bytes == nil, got: len(c.output.received),
	}
	if r.Op == history.File && !o.opaque {
		o.short = o.size - len(o.bytes)
	}
	c.enter(r.ID, o)
	switch r.Op {
	case history.Write, history.File:
		c.ledger.begin(c, o)
	case history.Wait:
		c.waits.begin(c, o)
	case history.Pause:
		c.pauses.pause(o)
	case history.Resume:
		o.credit = r.N
		c.pauses.resume(c, o)
		c.input.budget++
	case history.Detach:
		c.permits.give(c)
	case history.Become:
		c.becomes.begin(o)
	case history.SetTimeouts:
		c.causes.timeouts.begin(&c.world.Options, o, *r.Limits)
	default:
		c.causes.begin(o)
	}
	if o.asked || o.op == history.Send {
		c.due = append(c.due, o)
	}
}

func (c *conn) end(r *history.Record) {
	o := c.operation(r.ID)
	switch {
	case o == nil:
	case o.op == history.Write || o.op == history.File:
		c.ledger.end(c, o, r)
		c.room.outcome(c, o, r)
	case o.op == history.Wait:
		c.waits.end(c, o, r)
	case o.op == history.Become:
		o.end = c.at
		c.becomes.end(c, o, r.Err)
	default:
		o.end = c.at
		c.ledger.info(c, r.Info)
		c.causes.ended(c, o)
		c.waits.shutBy(o)
		if o.op == history.SetTimeouts {
			c.causes.timeouts.end(o, c.now)
		}
	}
}

// told notes that an operation's outcome is told.
func (c *conn) told(r *history.Record) {
	id := r.ID
	if r.What == history.Enter {
		id = r.Of
	}
	o := c.operation(id)
	if o == nil {
		return
	}
	o.told++
	o.err = r.Err
	switch o.op {
	case history.Write, history.File:
		if o.mail {
			c.ledger.told(c, o)
			c.token(o, r)
		} else {
			c.completed(o, r.What == history.Answer)
		}
		c.room.outcome(c, o, r)
	case history.Pause, history.Resume:
		c.pauses.told(c, o)
	case history.Become:
		c.becomes.told(c, o)
	case history.Info:
		c.ledger.info(c, r.Info)
	default:
	}
	c.answer(o, r.What == history.Answer && !r.Mail)
}

// draining checks a Draining: one for a shutdown, one for MaxAge.
func (c *conn) draining() {
	most := 0
	if c.shutdown {
		most++
	}
	if c.causes.byNow(c)&only(protocol.ReasonMaxAge) != 0 {
		most++
	}
	if c.drained++; c.drained > most {
		c.fail(DrainingOnce, "number %d of %d, in a shutdown: %v", c.drained, most, c.shutdown)
	}
}

// finish checks the whole when no more records come.
func (c *conn) finish() {
	c.orderAtEnd()
	c.input.finish(c)
	c.output.finish(c)
	c.completions()
	c.waits.finish(c)
	if c.over {
		c.unanswered(func(*operation) bool { return true })
	}
}

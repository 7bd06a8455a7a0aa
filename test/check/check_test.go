package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errHandler = errors.New("enough")
	many       = strings.Repeat("m", 150) // more than the network of a tale holds
)

// stats returns the stats of a connection that wrote a number of bytes and could not write others.
func stats(written, unsent int) protocol.Stats {
	return protocol.Stats{Written: uint64(written), Unsent: uint64(unsent)}
}

// aborted ends a tale.
func (t *tale) aborted(written, unsent int) *tale {
	return t.op(history.Abort, alice).closed(protocol.ReasonLocalAborted, protocol.ErrAborted, stats(written, unsent)).over()
}

// good are histories that break nothing.
var good = map[string]func(t *tale){
	"records of TLS that were under way at the end": func(t *tale) {
		t.world.Secured = true
		t.open().write(alice, "abc", nil, nil).gets("ab").aborted(0, 3)
	},
	"a close that takes its time": func(t *tale) {
		t.open().op(history.Close, alice).begins(protocol.ReasonLocalClosed, nil).after(time.Second).rest().closed(protocol.ReasonLocalClosed, nil, stats(0, 0)).over()
	},
	"the end of a silent peer that takes nothing": func(t *tale) {
		t.world.Options.ReadTimeout, t.world.Options.WriteTimeout = time.Second, time.Second
		t.open().write(alice, many, nil, nil).rest().after(time.Second).begins(protocol.ReasonReadTimeout, protocol.ErrReadTimeout).after(2 * time.Second).rest()
		t.closed(protocol.ReasonReadTimeout, protocol.ErrCloseTimeout, stats(100, 50)).over()
	},
	"limits of its own": func(t *tale) {
		t.world.Options.IdleTimeout, t.world.Options.MaxAge = time.Second, time.Minute
		t.open().after(500*time.Millisecond).limits(alice, protocol.Timeouts{Idle: 300 * time.Millisecond, MaxAge: -1}).after(300 * time.Millisecond)
		t.closed(protocol.ReasonIdleTimeout, protocol.ErrIdleTimeout, stats(0, 0))
		t.of(2).open().limits(bob, protocol.Timeouts{MaxAge: 2 * time.Second}).after(1800*time.Millisecond).closed(protocol.ReasonMaxAge, nil, stats(0, 0)).over()
	},
	"a limit that was over before it changed": func(t *tale) {
		t.world.Options.IdleTimeout = time.Second
		t.open().after(time.Second).limits(alice, protocol.Timeouts{Idle: -1}).closed(protocol.ReasonIdleTimeout, protocol.ErrIdleTimeout, stats(0, 0)).over()
	},
	"an idle connection that was paused for a while": func(t *tale) {
		t.world.Options.IdleTimeout, t.world.Options.CloseTimeout = time.Second, time.Second
		t.open().op(history.Pause, alice).rest().after(2*time.Second).rest().op(history.Resume, alice).rest().after(time.Second)
		t.closed(protocol.ReasonIdleTimeout, protocol.ErrIdleTimeout, stats(0, 0)).over()
	},
	"a silent peer": func(t *tale) {
		t.world.Options.ReadTimeout = time.Second
		t.open().write(alice, "a", nil, nil).rest().after(time.Second).closed(protocol.ReasonReadTimeout, protocol.ErrReadTimeout, stats(1, 0)).over()
	},
	"files, one of them too short": func(t *tale) {
		t.world.Options.WriteBufferSize = 2
		var whole, short int
		t.open().file(alice, "file", 4, &whole).file(alice, "abc", 5, &short).write(alice, "d", nil, nil).gets("fileabcd")
		t.completes(whole, nil).completes(short, io.ErrUnexpectedEOF).rest()
		t.op(history.Close, alice).closed(protocol.ReasonLocalClosed, nil, stats(8, 2)).hears(io.EOF).over()
	},
	"a connection that waits for the peer's FIN leaves its place": func(t *tale) {
		t.world.MaxConnections = 1
		t.open().op(history.Close, alice).begins(protocol.ReasonLocalClosed, nil).hears(io.EOF).of(2).open().rest()
		t.of(1).closed(protocol.ReasonLocalClosed, nil, stats(0, 0)).of(2).aborted(0, 0)
	},
	"a connection that a reset ended behind its FIN keeps its permit for its last words": func(t *tale) {
		t.world.MaxConnections = 1
		t.open().op(history.Pause, alice).sends("last").op(history.CloseWrite, alice).hears(io.EOF).rest()
		t.note(history.Resetting).begins(protocol.ReasonPeerReset, syscall.ECONNRESET)
		t.of(2).note(history.Dialed).rest().of(1).op(history.Resume, alice).data("last", 4)
		t.closed(protocol.ReasonPeerReset, syscall.ECONNRESET, protocol.Stats{Read: 4}).of(2).open().aborted(0, 0)
	},
	"an echo": func(t *tale) {
		t.open().sends("hello").data("hello", 5).write(turn, "hello", nil, nil).gets("hello").rest()
		t.note(history.Finishing).closed(protocol.ReasonPeerClosed, nil, stats(5, 0)).hears(io.EOF).over()
	},
	"unread bytes, a Resume, the last words": func(t *tale) {
		t.open().sends("ab").data("ab", 0).rest().op(history.Resume, alice).data("ab", 1).rest()
		t.sends("c").data("bc", 0).note(history.Finishing).lastData("bc", 2).closed(protocol.ReasonPeerClosed, nil, stats(0, 0)).over()
	},
	"a write after a reset": func(t *tale) {
		t.open().note(history.Resetting).write(alice, "a", nil, syscall.ECONNRESET).closed(protocol.ReasonPeerReset, syscall.ECONNRESET, stats(0, 0)).over()
	},
	"a reset while it is paused, and a handler that comes late": func(t *tale) {
		t.open().op(history.Pause, alice).sends("last").rest().note(history.Resetting).begins(protocol.ReasonPeerReset, syscall.ECONNRESET).rest()
		t.after(4*time.Second).op(history.Resume, alice).data("last", 4).closed(protocol.ReasonPeerReset, syscall.ECONNRESET, protocol.Stats{Read: 4}).over()
	},
	"a reset while it is paused, and a handler that never comes": func(t *tale) {
		t.open().op(history.Pause, alice).sends("last").rest().note(history.Resetting).begins(protocol.ReasonPeerReset, syscall.ECONNRESET).rest()
		t.after(5*time.Second).closed(protocol.ReasonPeerReset, syscall.ECONNRESET, protocol.Stats{Unread: 4}).over()
	},
	"a reset after the last words": func(t *tale) {
		t.open().sends("last").note(history.Resetting).data("last", 4).closed(protocol.ReasonPeerReset, syscall.ECONNRESET, stats(0, 0)).over()
	},
	"a pause holds what has come": func(t *tale) {
		t.open().op(history.Pause, alice).sends("x").rest().op(history.Resume, alice).data("x", 1).rest().aborted(0, 0)
	},
	"a pause from elsewhere lets the call go on that is under way": func(t *tale) {
		t.open().sends("x").op(history.Pause, alice).data("x", 1).rest().aborted(0, 0)
	},
	"a pause and a resume of two issuers, in either order": func(t *tale) {
		var id int
		t.open().mails(history.Resume, bob, "", &id).op(history.Pause, alice).sends("x").answer(id, nil).rest()
		t.sends("y").data("xy", 2).aborted(0, 0)
	},
	"writes of two issuers, in either order": func(t *tale) {
		var id int
		t.open().mails(history.Write, bob, "ab", &id).write(alice, "cd", nil, nil).answer(id, nil).gets("cdab").rest().aborted(4, 0)
	},
	"equal writes of two issuers": func(t *tale) {
		var a, b int
		t.open().mails(history.Write, bob, "xx", &a).mails(history.Write, alice, "x", &b).write(alice, "xy", nil, nil)
		t.answer(a, nil).answer(b, nil).gets("xxyxx").rest().aborted(5, 0)
	},
	"a write is cut off": func(t *tale) {
		var id int
		t.open().write(alice, many, &id, nil).gets("mmm").op(history.Abort, alice)
		t.completes(id, protocol.ErrAborted).closed(protocol.ReasonLocalAborted, protocol.ErrAborted, stats(103, 47)).hears(syscall.ECONNRESET).over()
	},
	"a full queue": func(t *tale) {
		t.world.Options.WriteQueueSize = 1
		t.open().write(alice, many, nil, nil).rest().write(alice, "x", nil, protocol.ErrWriteQueueFull).aborted(100, 50)
	},
	"a full buffer": func(t *tale) {
		t.world.Options.WriteBufferSize = 150
		t.open().write(alice, many, nil, nil).rest().write(alice, "x", nil, protocol.ErrWriteBufferFull).aborted(100, 50)
	},
	"writes that are dropped": func(t *tale) {
		t.world.Options.WriteQueueSize, t.world.Options.SlowConsumer = 1, connection.SlowDropNewest
		var id int
		t.open().write(alice, many, nil, nil).write(alice, "x", nil, nil).write(alice, "yy", &id, nil).completes(id, protocol.ErrDropped)
		t.op(history.Abort, alice).closed(protocol.ReasonLocalAborted, protocol.ErrAborted, protocol.Stats{Written: 100, Unsent: 50, Dropped: 3}).over()
	},
	"a slow consumer": func(t *tale) {
		t.world.Options.WriteQueueSize, t.world.Options.SlowConsumer = 1, connection.SlowClose
		t.open().write(alice, many, nil, nil).write(alice, "x", nil, protocol.ErrWriteQueueFull)
		t.closed(protocol.ReasonSlowConsumer, protocol.ErrWriteQueueFull, stats(100, 50)).over()
	},
	"an error, and a panic": func(t *tale) {
		t.open().fails(errHandler).closed(protocol.ReasonHandlerError, errHandler, stats(0, 0))
		t.of(2).open().fails(nil).closed(protocol.ReasonHandlerPanic, &protocol.PanicError{Value: 1}, stats(0, 0)).over()
	},
	"a handler that is replaced": func(t *tale) {
		t.world.Options.RestartHandler.Max = 1
		t.open().sends("ab").data("ab", 0).fails(nil).call(history.Record{Call: history.Accepted, N: 1}).data("ab", 2).rest()
		t.fails(nil).closed(protocol.ReasonHandlerPanic, &protocol.PanicError{Value: 1}, stats(0, 0)).over()
	},
	"a handler that needs more bytes than there are": func(t *tale) {
		t.world.Options.ReadBufferSize = 4
		t.open().sends("ab").asksFor(7, "ab", 1).rest().sends("cde").rest().op(history.Resume, alice).rest()
		t.sends("fgh").data("bcdefgh", 5).rest().sends("x").data("ghx", 3).aborted(0, 0)
	},
	"a handler that needs more bytes than come": func(t *tale) {
		t.open().sends("ab").asksFor(7, "ab", 1).sends("cd").rest().note(history.Finishing).lastData("bcd", 3).closed(protocol.ReasonPeerClosed, nil, stats(0, 0)).over()
		t.of(2).open().sends("ab").asksFor(7, "ab", 1).sends("cd").rest().note(history.Resetting).data("bcd", 3)
		t.closed(protocol.ReasonPeerReset, syscall.ECONNRESET, stats(0, 0)).over()
	},
	"a handler that takes a byte in each call": func(t *tale) {
		t.open().sends("abc").asksFor(1, "abc", 1).asksFor(1, "bc", 1).asksFor(1, "c", 0).rest().aborted(0, 0)
		t.of(2).open().sends("abc").note(history.Finishing).lastData("abc", 1).needs(1).lastData("bc", 2)
		t.closed(protocol.ReasonPeerClosed, nil, stats(0, 0)).over()
	},
	"a reset where the network has none": func(t *tale) {
		t.world.NoReset = true
		t.open().write(alice, "abc", nil, nil).gets("ab").hears(io.EOF).aborted(2, 1)
	},
	"what is needed uses up no demand": func(t *tale) {
		t.world.Options.ReadMode = connection.Pull
		t.open().op(history.Resume, alice).sends("ab").asksFor(3, "ab", 0).rest().sends("c").data("abc", 3).rest().aborted(0, 0)
	},
	"handlers that make room for others": func(t *tale) {
		t.world.Options.RestartHandler.Max = 1
		var a, b, c int
		t.open().sends("abc").data("abc", 1).asks(history.Become, alice, &a).becomes(a, 2).completes(a, nil).data("bc", 0).rest()
		t.fails(nil).call(history.Record{Call: history.Accepted, Of: a, Handler: 3, N: 1}).data("bc", 1)
		t.mails(history.Become, bob, "", &b).mails(history.Become, alice, "", &c).becomes(c, 4).becomes(b, 5).answer(b, nil).answer(c, nil).data("c", 1)
		t.rest().aborted(0, 0)
	},
	"a handler that comes while another one needs more": func(t *tale) {
		var a, b int
		t.open().sends("ab").asksFor(7, "ab", 1).sends("cd").rest().asks(history.Become, alice, &a).becomes(a, 2).completes(a, nil)
		t.asks(history.Become, alice, &b).becomes(b, 3).completes(b, nil).data("bcd", 3).rest().aborted(0, 0)
	},
	"time counts from when a byte came, and not from when it was shown to a new handler": func(t *tale) {
		t.world.Options.HalfCloseTimeout = time.Second
		var id int
		t.open().op(history.CloseWrite, alice).sends("ab").asksFor(7, "ab", 0).after(time.Millisecond).sends("c")
		t.after(time.Millisecond).asks(history.Become, alice, &id).becomes(id, 2).completes(id, nil).data("abc", 3)
		t.after(time.Second-time.Millisecond).closed(protocol.ReasonHalfCloseTimeout, protocol.ErrHalfCloseTimeout, stats(0, 0)).over()
	},
	"a handler that comes while it is paused": func(t *tale) {
		var id int
		t.open().sends("ab").data("ab", 0).op(history.Pause, alice).rest().asks(history.Become, alice, &id).becomes(id, 2).completes(id, nil).rest()
		t.op(history.Resume, alice).data("ab", 2).rest().aborted(0, 0)
	},
	"a Become that comes too late": func(t *tale) {
		var a, b int
		t.open().op(history.Close, alice).asks(history.Become, alice, &a).completes(a, protocol.ErrClosed).begins(protocol.ReasonLocalClosed, nil)
		t.mails(history.Become, alice, "", &b).closed(protocol.ReasonLocalClosed, nil, stats(0, 0)).answer(b, history.DeadLetter).over()
	},
	"a client that waits for its place": func(t *tale) {
		t.world.MaxConnections = 1
		t.open().of(2).note(history.Dialed).rest().of(1).aborted(0, 0)
	},
	"commands by mail, by callback, and too late": func(t *tale) {
		var a, b, c, d int
		t.open().mails(history.Pause, alice, "", &a).asks(history.Resume, alice, &b).answer(a, nil).completes(b, nil).rest()
		t.asks(history.Close, alice, &c).completes(c, nil).closed(protocol.ReasonLocalClosed, nil, stats(0, 0))
		t.asks(history.Pause, alice, &d).late(d, protocol.ErrClosed).mails(history.Abort, alice, "", &d).answer(d, history.DeadLetter).over()
	},
	"water marks": func(t *tale) {
		t.world.Options.HighWater = 10
		t.open().writable(false).writable(true).aborted(0, 0)
	},
	"a refusal, and what is told of it": func(t *tale) {
		t.world.Options.WriteQueueSize = 1
		var a, b int
		t.open().write(alice, many, nil, nil).rest().refuses(alice, "x", protocol.ErrWriteQueueFull, 0).bids(bob, 1, "y", &a).comesBack(a, protocol.ErrWriteQueueFull)
		t.bids(bob, 1, "z", &b).comesBack(b, protocol.ErrWriteQueueFull).writable(false).rest()
		t.gets(many[:60]).writable(true).roomTold(1).rest().bids(bob, 1, "y", &a).gets(many[60:]).gets("y").rest().aborted(151, 0)
	},
	"a refusal while the peer reads": func(t *tale) {
		t.world.Options.WriteQueueSize = 1
		t.open().write(alice, many, nil, nil).rest().gets(many[:60])
		t.refuses(alice, "x", protocol.ErrWriteQueueFull, 60).writable(false).writable(true).rest().aborted(150, 0)
	},
	"a kernel that takes few writes, or few bytes": func(t *tale) {
		t.world.Options.WriteQueueSize, t.world.Network, t.world.Kernel = 1, 0, Kernel{Writes: 1, Bytes: 150}
		t.open().write(alice, "a", nil, nil).write(alice, "b", nil, nil).write(alice, "c", nil, protocol.ErrWriteQueueFull).aborted(1, 1)
		t.of(2).open().write(alice, many, nil, nil).write(alice, "c", nil, protocol.ErrWriteQueueFull).aborted(150, 0)
	},
	"a write that waits, and another one": func(t *tale) {
		t.world.Options.WriteBufferSize = 60
		var a, b int
		t.open().waits(alice, many, &a).waits(bob, many[:90], &b).rest().write(turn, "x", nil, nil).gets(many[:60]).rest()
		t.gets("x"+many[60:]).waited(a, 150, nil).gets(many[:90]).waited(b, 90, nil).rest().aborted(241, 0)
	},
	"a write that waits is cut short": func(t *tale) {
		t.world.Options.WriteBufferSize = 60
		var a, b int
		t.open().waits(alice, many+many, &a).rest().expires(a).waited(a, 160, context.Canceled).rest().waits(alice, many, &b)
		t.op(history.Close, bob).waited(b, 0, protocol.ErrClosed).after(6 * time.Second)
		t.closed(protocol.ReasonLocalClosed, protocol.ErrCloseTimeout, stats(100, 60)).over()
	},
	"a write of nothing waits for a place": func(t *tale) {
		t.world.Options.WriteQueueSize = 1
		var a, b int
		t.open().write(alice, many, nil, nil).waits(bob, "", &a).rest().gets(many).waited(a, 0, nil).rest()
		t.waits(bob, "", &b).waited(b, 0, context.Canceled).rest().aborted(150, 0)
	},
	"too large": func(t *tale) {
		t.world.Options.WriteBufferSize = 2
		var id int
		tooLarge := fmt.Errorf("%w: 3 of 2", protocol.ErrWriteTooLarge)
		t.open().write(alice, "abc", nil, tooLarge).bids(bob, 1, "abc", &id).comesBack(id, tooLarge).rest().aborted(0, 0)
	},
	"a partition": func(t *tale) {
		t.open().note(history.Parted).sends("x").rest().note(history.Healed).data("x", 1).rest().aborted(0, 0)
	},
	"a handler that blocks": func(t *tale) {
		t.open()
		id := t.enter(history.Record{Call: history.Message})
		t.op(history.Pause, alice).sends("x").rest().leave(history.Message, id, 0, nil, false).rest().aborted(0, 0)
	},
}

func TestGoodHistoriesBreakNothing(t *testing.T) {
	for name, write := range good {
		t.Run(name, func(t *testing.T) {
			tale := newTale()
			write(tale)
			assert.Empty(t, Violations(tale.world, tale.records))
		})
	}
}

// bad are histories that break one rule each. They end as good ones do, so that no other rule is
// broken.
var bad = map[Rule]map[string]func(t *tale){
	AcceptedFirst: {
		"twice":                func(t *tale) { t.open().call(history.Record{Call: history.Accepted}).aborted(0, 0) },
		"after something else": func(t *tale) { t.call(history.Record{Call: history.Message}).open().aborted(0, 0) },
		"a new handler without a panic before": func(t *tale) {
			t.world.Options.RestartHandler.Max = 1
			t.open().call(history.Record{Call: history.Accepted, N: 1}).aborted(0, 0)
		},
		"a new handler after the end has begun": func(t *tale) {
			var id int
			t.open().asks(history.Become, alice, &id).op(history.Abort, alice).begins(protocol.ReasonLocalAborted, protocol.ErrAborted).becomes(id, 2).completes(id, nil)
			t.closed(protocol.ReasonLocalAborted, protocol.ErrAborted, stats(0, 0)).over()
		},
		"a restart counted from before the Become": func(t *tale) {
			t.world.Options.RestartHandler.Max = 1
			var id int
			t.open().fails(nil).call(history.Record{Call: history.Accepted, N: 1}).asks(history.Become, alice, &id)
			t.call(history.Record{Call: history.Accepted, Of: id, N: 1}).completes(id, nil).aborted(0, 0)
		},
		"one new handler too many": func(t *tale) {
			t.world.Options.RestartHandler.Max = 1
			t.open().fails(nil).call(history.Record{Call: history.Accepted, N: 1}).fails(nil).call(history.Record{Call: history.Accepted, N: 2}).aborted(0, 0)
		},
		"Data for a handler that has panicked": func(t *tale) {
			t.world.Options.RestartHandler.Max = 1
			t.open().sends("x").fails(nil).data("x", 1).call(history.Record{Call: history.Accepted, N: 1}).aborted(0, 0)
		},
	},
	ClosedLast: {
		"twice": func(t *tale) {
			t.open().aborted(0, 0).closed(protocol.ReasonLocalAborted, protocol.ErrAborted, stats(0, 0))
		},
		"never":    func(t *tale) { t.open().op(history.Abort, alice).over() },
		"not last": func(t *tale) { t.open().aborted(0, 0).call(history.Record{Call: history.Message}) },
	},
	ClosingOnce: {
		"never": func(t *tale) {
			t.begun = []int{1}
			t.open().aborted(0, 0)
		},
		"twice": func(t *tale) {
			t.open().op(history.Close, alice)
			t.begins(protocol.ReasonLocalClosed, nil).begins(protocol.ReasonLocalClosed, nil).closed(protocol.ReasonLocalClosed, nil, stats(0, 0)).over()
		},
		"not at once": func(t *tale) {
			t.open().op(history.Close, alice).rest().closed(protocol.ReasonLocalClosed, nil, stats(0, 0)).over()
		},
		"for another reason": func(t *tale) {
			t.open().op(history.Close, alice).op(history.Abort, alice).begins(protocol.ReasonLocalAborted, nil)
			t.closed(protocol.ReasonLocalClosed, nil, stats(0, 0)).over()
		},
	},
	NoOverlap: {
		"a completion inside the call that queued the write": func(t *tale) {
			t.open()
			id, write := t.enter(history.Record{Call: history.Message}), 0
			t.write(turn, "x", &write, nil).completes(write, nil).leave(history.Message, id, 0, nil, false).aborted(1, 0)
		},
	},
	FirstCause: {
		"Abort after Close": func(t *tale) {
			t.open().op(history.Close, alice).begins(protocol.ReasonLocalClosed, nil).rest().op(history.Abort, alice).closed(protocol.ReasonLocalAborted, protocol.ErrAborted, stats(0, 0)).over()
		},
		"the peer's end after an error": func(t *tale) {
			t.open().fails(errHandler).begins(protocol.ReasonHandlerError, errHandler).rest().note(history.Finishing).closed(protocol.ReasonPeerClosed, nil, stats(0, 0)).over()
		},
	},
	LastHandler: {
		"the old one": func(t *tale) {
			var id int
			t.becomes(0, 1).asks(history.Become, alice, &id).becomes(id, 2).completes(id, nil)
			t.call(history.Record{Call: history.Message, Handler: 1}).aborted(0, 0)
		},
	},
	BecomesOnce: {
		"never": func(t *tale) {
			t.open().op(history.Become, alice).rest().aborted(0, 0)
		},
		"twice": func(t *tale) {
			var a, b int
			t.open().asks(history.Become, alice, &a).becomes(a, 2).completes(a, nil)
			t.asks(history.Become, alice, &b).becomes(b, 3).completes(b, nil).becomes(a, 4).aborted(0, 0)
		},
		"of another kind": func(t *tale) { t.open().op(history.Pause, alice).becomes(t.ids, 2).aborted(0, 0) },
		"out of turn": func(t *tale) {
			var a, b int
			t.open().asks(history.Become, alice, &a).asks(history.Become, alice, &b).becomes(b, 2).becomes(a, 3).completes(a, nil).completes(b, nil).aborted(0, 0)
		},
		"the answer before the handler": func(t *tale) {
			var id int
			t.open().asks(history.Become, alice, &id).completes(id, nil).becomes(id, 2).aborted(0, 0)
		},
		"refused without a reason": func(t *tale) {
			var id int
			t.open().mails(history.Become, alice, "", &id).answer(id, protocol.ErrClosed).aborted(0, 0)
		},
		"refused, and there": func(t *tale) {
			var id int
			t.open().mails(history.Become, alice, "", &id).becomes(id, 2).op(history.Abort, alice).answer(id, protocol.ErrClosed)
			t.closed(protocol.ReasonLocalAborted, protocol.ErrAborted, stats(0, 0)).over()
		},
	},
	NeededFirst: {
		"too few": func(t *tale) { t.open().sends("ab").asksFor(4, "ab", 0).sends("c").data("abc", 3).aborted(0, 0) },
		"a Resume, and too few": func(t *tale) {
			t.open().sends("ab").asksFor(4, "ab", 0).op(history.Resume, alice).data("ab", 2).aborted(0, 0)
		},
	},
	Exactly: {
		"more than was left": func(t *tale) {
			var id int
			t.open().sends("ab").data("ab", 1).asks(history.Become, alice, &id).sends("c").becomes(id, 2).completes(id, nil).data("bc", 2).aborted(0, 0)
		},
		"more than the call before left": func(t *tale) { t.open().sends("ab").asksFor(1, "ab", 1).sends("c").data("bc", 2).aborted(0, 0) },
	},
	InputPrefix: {
		"other bytes":     func(t *tale) { t.open().sends("ab").data("ax", 2).aborted(0, 0) },
		"one is missing":  func(t *tale) { t.open().sends("abc").data("bc", 2).aborted(0, 0) },
		"one comes twice": func(t *tale) { t.open().sends("ab").data("a", 1).data("a", 1).aborted(0, 0) },
		"more than was sent": func(t *tale) {
			t.open().add(history.Record{What: history.Sending, Bytes: []byte("ab")}).data("ab", 2)
			t.add(history.Record{What: history.Sent, N: 1, Err: syscall.EPIPE}).aborted(0, 0)
		},
	},
	UnreadCounted: {
		"too few": func(t *tale) {
			t.open().sends("abc").data("abc", 1).op(history.Abort, alice)
			t.closed(protocol.ReasonLocalAborted, protocol.ErrAborted, protocol.Stats{Read: 3, Unread: 1}).over()
		},
		"more than came": func(t *tale) {
			t.open().sends("abc").data("abc", 1).op(history.Abort, alice)
			t.closed(protocol.ReasonLocalAborted, protocol.ErrAborted, protocol.Stats{Read: 3, Unread: 3}).over()
		},
	},
	ResetNoticed: {
		"while it is paused": func(t *tale) {
			t.open().op(history.Pause, alice).sends("abc").rest().note(history.Resetting).rest()
			t.after(5*time.Second).closed(protocol.ReasonPeerReset, syscall.ECONNRESET, protocol.Stats{Unread: 3}).over()
		},
	},
	UnreadLeads: {
		"they are gone": func(t *tale) { t.world.NoPeers = true; t.open().data("abc", 1).data("xyz", 1).aborted(0, 0) },
	},
	NewsOrResume: {
		"nothing new": func(t *tale) { t.open().sends("a").data("a", 0).data("a", 1).aborted(0, 0) },
		"more bytes than there are, once the stream has ended": func(t *tale) {
			t.open().sends("abc").note(history.Finishing).lastData("abc", 1).needs(3).lastData("bc", 2).aborted(0, 0)
		},
		"nothing at all": func(t *tale) { t.open().data("", 0).aborted(0, 0) },
		"a Resume that had its call": func(t *tale) {
			t.open().sends("a").data("a", 0).op(history.Resume, alice).data("a", 0).data("a", 1).aborted(0, 0)
		},
		"a Resume without unread bytes": func(t *tale) {
			t.open().op(history.Resume, alice).rest().sends("a").data("a", 0).data("a", 1).aborted(0, 0)
		},
	},
	ReadBound: {
		"one byte more": func(t *tale) { t.world.Options.ReadBufferSize = 2; t.open().sends("abc").data("abc", 3).aborted(0, 0) },
		"one byte more than a step": func(t *tale) {
			t.world.Options.ReadBufferSize = 2
			t.open().sends("ab").asksFor(3, "ab", 0).sends("cde").data("abcde", 5).aborted(0, 0)
		},
		"more than a handler may need": func(t *tale) {
			t.world.Options.ReadBufferSize, t.world.Options.MaxReadBufferSize = 2, 3
			t.open().sends("ab").asksFor(3, "ab", 0).sends("cd").data("abcd", 4).aborted(0, 0)
		},
	},
	EOFLast: {
		"not the last": func(t *tale) {
			t.open().sends("ab").note(history.Finishing).lastData("ab", 1).op(history.Resume, alice).data("b", 1).aborted(0, 0)
		},
		"no FIN":    func(t *tale) { t.open().sends("ab").lastData("ab", 2).aborted(0, 0) },
		"too early": func(t *tale) { t.open().sends("abc").note(history.Finishing).lastData("ab", 2).aborted(0, 0) },
	},
	AllShown: {
		"before FIN": func(t *tale) {
			t.open().sends("ab").note(history.Finishing).data("a", 1).closed(protocol.ReasonPeerClosed, nil, stats(0, 0)).over()
		},
		"before RST, while it is paused": func(t *tale) {
			t.open().op(history.Pause, alice).sends("ab").rest().note(history.Resetting)
			t.closed(protocol.ReasonPeerReset, syscall.ECONNRESET, stats(0, 0)).over()
		},
		"before RST": func(t *tale) {
			t.open().sends("ab").note(history.Resetting).data("a", 1).closed(protocol.ReasonPeerReset, syscall.ECONNRESET, stats(0, 0)).over()
		},
	},
	InputAtRest: {
		"a lost wake-up": func(t *tale) { t.open().sends("a").rest().data("a", 1).aborted(0, 0) },
		"held back by writes that have gone": func(t *tale) {
			t.open().write(alice, "x", nil, nil).sends("a").rest().data("a", 1).aborted(1, 0)
		},
		"as much as is needed":      func(t *tale) { t.open().sends("a").asksFor(3, "a", 0).sends("bc").rest().data("abc", 3).aborted(0, 0) },
		"a call that was asked for": func(t *tale) { t.open().sends("abc").asksFor(1, "abc", 1).rest().data("bc", 2).aborted(0, 0) },
		"unread bytes for a new handler": func(t *tale) {
			var id int
			t.open().sends("abc").data("abc", 1).asks(history.Become, alice, &id).becomes(id, 2).completes(id, nil).rest().data("bc", 2).aborted(0, 0)
		},
		"an end of the peer's that is not seen": func(t *tale) {
			t.open().note(history.Finishing).rest().closed(protocol.ReasonPeerClosed, nil, stats(0, 0)).over()
		},
		"after a Resume in pull mode": func(t *tale) {
			t.world.Options.ReadMode = connection.Pull
			t.open().sends("a").rest().op(history.Resume, alice).rest().aborted(0, 0)
		},
	},
	ResumeForces: {
		"no call": func(t *tale) { t.open().sends("a").data("a", 0).rest().op(history.Resume, alice).rest().aborted(0, 0) },
	},
	NoDataAfter: {
		"Close in a handler": func(t *tale) {
			t.open().sends("a").op(history.Close, turn).data("a", 1).closed(protocol.ReasonLocalClosed, nil, stats(0, 0)).over()
		},
		"an error": func(t *tale) {
			t.open().sends("a").fails(errHandler).data("a", 1).closed(protocol.ReasonHandlerError, errHandler, stats(0, 0)).over()
		},
		"Close from elsewhere": func(t *tale) {
			t.open().op(history.Close, alice).begins(protocol.ReasonLocalClosed, nil).rest().sends("a").data("a", 1).closed(protocol.ReasonLocalClosed, nil, stats(0, 0)).over()
		},
	},
	PeerClosedTwo: {
		"twice": func(t *tale) {
			t.world.Options.KeepOpenOnPeerClosed = true
			t.open().note(history.Finishing).call(history.Record{Call: history.PeerClosed}).call(history.Record{Call: history.PeerClosed}).aborted(0, 0)
		},
		"unasked": func(t *tale) {
			t.open().note(history.Finishing).call(history.Record{Call: history.PeerClosed}).aborted(0, 0)
		},
		"too early": func(t *tale) {
			t.world.Options.KeepOpenOnPeerClosed = true
			t.open().sends("a").note(history.Finishing).call(history.Record{Call: history.PeerClosed}).aborted(0, 0)
		},
	},
	Books: {
		"of what a file does not have": func(t *tale) { t.open().file(alice, "abc", 5, nil).aborted(3, 0) },
		"one byte lost":                func(t *tale) { t.open().write(alice, "abc", nil, nil).aborted(1, 1) },
		"of one that waited": func(t *tale) {
			t.world.Options.WriteBufferSize = 2
			var id int
			t.open().waits(alice, "abcd", &id).waited(id, 2, context.Canceled).aborted(4, 0)
		},
		"one counted twice": func(t *tale) { t.open().write(alice, "abc", nil, nil).aborted(3, 1) },
		"over TLS, more than a call takes": func(t *tale) {
			t.world.Secured = true
			text := strings.Repeat("a", 20<<10)
			t.open().write(alice, text, nil, nil).gets(text).aborted(3<<10, 17<<10)
		},
		"more came than went": func(t *tale) { t.open().write(alice, "abc", nil, nil).gets("abc").aborted(2, 1) },
	},
	OutputPrefix: {
		"of a file": func(t *tale) { t.open().file(alice, "abc", 3, nil).gets("abx").aborted(3, 0) },
		"behind a file that is too short": func(t *tale) {
			t.open().file(alice, "abc", 5, nil).write(alice, "d", nil, nil).gets("abd").aborted(4, 2)
		},
		"swapped": func(t *tale) {
			t.open().write(alice, "ab", nil, nil).write(bob, "cd", nil, nil).gets("cdab").aborted(4, 0)
		},
		"one left out": func(t *tale) {
			t.open().write(alice, "ab", nil, nil).write(alice, "cd", nil, nil).gets("cd").aborted(4, 0)
		},
		"mixed": func(t *tale) {
			t.open().write(alice, "ab", nil, nil).write(bob, "cd", nil, nil).gets("acbd").aborted(4, 0)
		},
		"other bytes": func(t *tale) { t.open().write(alice, "ab", nil, nil).gets("ax").aborted(2, 0) },
		"mail overtakes": func(t *tale) {
			var a, b int
			t.open().mails(history.Write, alice, "ab", &a).mails(history.Write, alice, "cd", &b).answer(a, nil).answer(b, nil).gets("cdab").aborted(4, 0)
		},
		"pieces swapped": func(t *tale) {
			t.world.Options.WriteBufferSize = 2
			var id int
			t.open().waits(alice, "abcd", &id).waited(id, 4, nil).gets("cdab").aborted(4, 0)
		},
		"within a piece": func(t *tale) {
			var id int
			t.open().waits(alice, "abcd", &id).write(bob, "x", nil, nil).waited(id, 4, nil).gets("abxcd").aborted(5, 0)
		},
		"never accepted": func(t *tale) { t.note(history.Dialed).gets("x").note(history.Suspended).over() },
	},
	RefusedWrite: {
		"it goes out": func(t *tale) {
			t.world.Options.WriteBufferSize = 2
			t.open().write(alice, "abc", nil, protocol.ErrWriteTooLarge).gets("abc").op(history.Abort, alice)
			t.closed(protocol.ReasonLocalAborted, protocol.ErrAborted, stats(3, 0)).over()
		},
	},
	WholeAtFIN: {
		"cut short": func(t *tale) {
			t.open().write(alice, "abc", nil, nil).gets("ab").hears(io.EOF).op(history.Close, alice).closed(protocol.ReasonLocalClosed, nil, stats(3, 0)).over()
		},
		"cut short where the network has no reset, and the connection counts it as written": func(t *tale) {
			t.world.NoReset = true
			t.open().write(alice, "abc", nil, nil).gets("ab").hears(io.EOF).op(history.Close, alice).closed(protocol.ReasonLocalClosed, nil, stats(3, 0)).over()
		},
		"a reset where the network has resets": func(t *tale) {
			t.open().write(alice, "abc", nil, nil).gets("ab").hears(io.EOF).aborted(2, 1)
		},
		"the last write missing": func(t *tale) {
			t.open().write(alice, "ab", nil, nil).write(alice, "c", nil, nil).gets("ab").hears(io.EOF).op(history.Close, alice)
			t.closed(protocol.ReasonLocalClosed, nil, stats(3, 0)).over()
		},
	},
	FlushedEnd: {
		"after a panic": func(t *tale) {
			t.open().write(turn, "sorry", nil, nil).fails(nil).closed(protocol.ReasonHandlerPanic, &protocol.PanicError{Value: 1}, stats(0, 5)).over()
		},
		"a close that does not wait": func(t *tale) {
			t.open().write(alice, many, nil, nil).op(history.Close, alice).after(4 * time.Second)
			t.closed(protocol.ReasonLocalClosed, protocol.ErrCloseTimeout, stats(100, 50)).over()
		},
	},
	OrderlyEnd: {
		"more unsent than its file lacks": func(t *tale) {
			t.open().file(alice, "abc", 5, nil).op(history.Close, alice).closed(protocol.ReasonLocalClosed, nil, stats(2, 3)).over()
		},
		"unsent bytes": func(t *tale) {
			t.open().write(alice, "abc", nil, nil).op(history.Close, alice).closed(protocol.ReasonLocalClosed, nil, stats(1, 2)).over()
		},
	},
	AllOrNothing: {
		"a part": func(t *tale) {
			t.open().begin(history.Record{Op: history.Write, By: alice, Bytes: []byte("abc"), N: 3}, nil).end(t.ids, 2, nil).aborted(3, 0)
		},
		"a part, and refused": func(t *tale) {
			t.world.Options.WriteBufferSize = 2
			t.open().begin(history.Record{Op: history.Write, By: alice, Bytes: []byte("abc"), N: 3}, nil).end(t.ids, 2, protocol.ErrWriteBufferFull).aborted(0, 0)
		},
	},
	CompletesOnce: {
		"twice": func(t *tale) {
			var id int
			t.open().write(alice, "a", &id, nil).completes(id, nil).completes(id, nil).aborted(1, 0)
		},
		"never": func(t *tale) { var id int; t.open().write(alice, "a", &id, nil).aborted(1, 0) },
		"refused": func(t *tale) {
			t.world.Options.WriteBufferSize = 1
			var id int
			t.open().write(alice, "ab", &id, protocol.ErrWriteTooLarge).completes(id, protocol.ErrWriteTooLarge).aborted(0, 0)
		},
	},
	CompletesBefore: {
		"a write after it":   func(t *tale) { var id int; t.open().write(alice, "a", &id, nil).aborted(1, 0).late(id, nil) },
		"a command after it": func(t *tale) { var id int; t.open().asks(history.Resume, alice, &id).aborted(0, 0).late(id, nil) },
	},
	SuccessIsGone: {
		"a file that is too short": func(t *tale) {
			var id int
			t.open().file(alice, "abc", 5, &id).completes(id, nil).aborted(3, 2)
		},
		"a failure that is not told": func(t *tale) { t.open().bids(bob, 1, "abc", nil).rest().aborted(1, 2) },
		"too early": func(t *tale) {
			var id int
			t.open().write(alice, many, &id, nil).completes(id, nil).gets(many).rest().aborted(150, 0)
		},
		"not in the books": func(t *tale) { var id int; t.open().write(alice, "abc", &id, nil).completes(id, nil).aborted(1, 2) },
	},
	FailureIsEnd: {
		"a whole file said to be too short": func(t *tale) {
			var id int
			t.open().file(alice, "abc", 3, &id).completes(id, io.ErrUnexpectedEOF).aborted(0, 3)
		},
		"another error": func(t *tale) {
			var id int
			t.open().write(alice, "abc", &id, nil).op(history.Abort, alice).completes(id, io.EOF).closed(protocol.ReasonLocalAborted, protocol.ErrAborted, stats(0, 3)).over()
		},
	},
	CompletesAtRest: {
		"a lost completion": func(t *tale) {
			var id int
			t.open().write(alice, "abc", &id, nil).rest().completes(id, nil).aborted(3, 0)
		},
	},
	QueueBound: {
		"one too many": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			t.open().write(alice, many, nil, nil).write(alice, "a", nil, nil).aborted(100, 51)
		},
		"Info says so": func(t *tale) { t.world.Options.WriteQueueSize = 1; t.open().info(2, 0).aborted(0, 0) },
	},
	BufferBound: {
		"one byte too many": func(t *tale) {
			t.world.Options.WriteBufferSize = 150
			t.open().write(alice, many, nil, nil).write(alice, many[:101], nil, nil).aborted(100, 151)
		},
		"Info says so": func(t *tale) { t.world.Options.WriteBufferSize = 1; t.open().info(1, 2).aborted(0, 0) },
	},
	RightError: {
		"the queue had room": func(t *tale) {
			t.world.Options.WriteQueueSize = 2
			t.open().write(alice, many, nil, nil).write(alice, "a", nil, protocol.ErrWriteQueueFull).aborted(100, 50)
		},
		"the buffer had room": func(t *tale) {
			t.world.Options.WriteBufferSize = 3
			t.open().write(alice, "ab", nil, nil).write(alice, "c", nil, protocol.ErrWriteBufferFull).aborted(2, 0)
		},
		"room that a Rest has shown": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			t.open().write(alice, "ab", nil, nil).rest().write(alice, "c", nil, protocol.ErrWriteQueueFull).aborted(2, 0)
		},
		"a reset, where the peer is there": func(t *tale) { t.open().write(alice, "a", nil, syscall.ECONNRESET).aborted(0, 0) },
		"closed, where the peer has reset it": func(t *tale) {
			t.open().note(history.Resetting).write(alice, "a", nil, protocol.ErrClosed).closed(protocol.ReasonPeerReset, syscall.ECONNRESET, stats(0, 0)).over()
		},
		"nothing has closed it":      func(t *tale) { t.open().write(alice, "a", nil, protocol.ErrClosed).aborted(0, 0) },
		"too large, which it is not": func(t *tale) { t.open().write(alice, "a", nil, protocol.ErrWriteTooLarge).aborted(0, 0) },
		"full, where it would never fit": func(t *tale) {
			t.world.Options.WriteBufferSize = 2
			t.open().write(alice, "ab", nil, nil).write(alice, "abc", nil, protocol.ErrWriteBufferFull).aborted(2, 0)
		},
		"an unknown one": func(t *tale) { t.open().write(alice, "a", nil, io.EOF).aborted(0, 0) },
		"dropped": func(t *tale) {
			var id int
			t.open().mails(history.Write, alice, "a", &id).answer(id, protocol.ErrDropped).aborted(0, 0)
		},
	},
	CountFirst: {
		"both are full": func(t *tale) {
			t.world.Options.WriteQueueSize, t.world.Options.WriteBufferSize = 1, 150
			t.open().write(alice, many, nil, nil).rest().write(alice, "a", nil, protocol.ErrWriteBufferFull).aborted(100, 50)
		},
	},
	Alternating: {
		"begins with ready": func(t *tale) {
			t.world.Options.HighWater = 10
			t.open().writable(true).aborted(0, 0)
		},
		"twice": func(t *tale) {
			t.world.Options.HighWater = 10
			t.open().writable(false).writable(false).aborted(0, 0)
		},
		"without a mark or a refusal": func(t *tale) { t.open().write(alice, "a", nil, nil).writable(false).writable(true).aborted(1, 0) },
		"for a write that waits": func(t *tale) {
			var id int
			t.open().waits(alice, many, &id).writable(false).writable(true).waited(id, 150, nil).aborted(100, 50)
		},
	},
	Paused: {
		"in a handler": func(t *tale) {
			t.open()
			id := t.enter(history.Record{Call: history.Message})
			t.op(history.Pause, turn).leave(history.Message, id, 0, nil, false).sends("a").data("a", 1).aborted(0, 0)
		},
		"after a Rest": func(t *tale) { t.open().op(history.Pause, alice).rest().sends("a").data("a", 1).aborted(0, 0) },
		"by mail": func(t *tale) {
			var id int
			t.open().mails(history.Pause, alice, "", &id).answer(id, nil).rest().sends("a").data("a", 1).aborted(0, 0)
		},
		"a Resume before it": func(t *tale) {
			t.open().op(history.Resume, alice).op(history.Pause, alice).call(history.Record{Call: history.Message}).sends("a").data("a", 1).aborted(0, 0)
		},
	},
	PullMode: {
		"unasked": func(t *tale) {
			t.world.Options.ReadMode = connection.Pull
			t.open().sends("a").data("a", 1).aborted(0, 0)
		},
		"one that consumed something, and needed more": func(t *tale) {
			t.world.Options.ReadMode = connection.Pull
			t.open().op(history.Resume, alice).sends("ab").asksFor(3, "ab", 1).sends("cd").data("bcd", 3).aborted(0, 0)
		},
		"one that needed more than was left of the stream": func(t *tale) {
			t.world.Options.ReadMode = connection.Pull
			var id int
			t.open().op(history.Resume, alice).sends("ab").note(history.Finishing).lastData("ab", 0).needs(3)
			t.asks(history.Become, alice, &id).becomes(id, 2).completes(id, nil).lastData("ab", 2).aborted(0, 0)
		},
		"one too many": func(t *tale) {
			t.world.Options.ReadMode = connection.Pull
			t.open().begin(history.Record{Op: history.Resume, By: alice, N: 2}, nil).end(t.ids, 0, nil).sends("abc").data("a", 1).data("b", 1).data("c", 1).aborted(0, 0)
		},
	},
	NeverRefused: {
		"an error": func(t *tale) {
			var id int
			t.open().mails(history.Pause, alice, "", &id).answer(id, io.EOF).aborted(0, 0)
		},
		"closed, but it is not": func(t *tale) {
			var id int
			t.open().mails(history.Pause, alice, "", &id).answer(id, protocol.ErrClosed).rest().aborted(0, 0)
		},
	},
	Quiet: {
		"while a write is pending": func(t *tale) { t.open().write(turn, many, nil, nil).rest().sends("a").data("a", 1).aborted(100, 50) },
		"above the low water mark": func(t *tale) {
			t.world.Options.ReadGate, t.world.Options.HighWater, t.world.Options.LowWater = connection.GateLowWater, 100, 49
			t.open().write(turn, many, nil, nil).rest().sends("a").data("a", 1).aborted(100, 50)
		},
	},
	OwnReason: {
		"the neighbour's panic": func(t *tale) {
			t.open().of(2).open().fails(nil).closed(protocol.ReasonHandlerPanic, &protocol.PanicError{Value: 1}, stats(0, 0))
			t.of(1).closed(protocol.ReasonHandlerPanic, &protocol.PanicError{Value: 1}, stats(0, 0)).over()
		},
		"no FIN":      func(t *tale) { t.open().closed(protocol.ReasonPeerClosed, nil, stats(0, 0)).over() },
		"no shutdown": func(t *tale) { t.open().closed(protocol.ReasonShutdown, nil, stats(0, 0)).over() },
		"a full read buffer that was not": func(t *tale) {
			t.world.Options.ReadBufferSize = 2
			t.open().sends("a").data("a", 0).closed(protocol.ReasonReadBufferFull, protocol.ErrReadBufferFull, stats(0, 0)).over()
		},
		"a write timeout too early": func(t *tale) {
			t.world.Options.WriteTimeout = time.Second
			t.open().write(alice, many, nil, nil).after(time.Second-1).closed(protocol.ReasonWriteTimeout, protocol.ErrWriteTimeout, stats(100, 50)).over()
		},
		"a half-close timeout too early": func(t *tale) {
			t.world.Options.HalfCloseTimeout = time.Second
			t.open().op(history.CloseWrite, alice).after(time.Second-1).closed(protocol.ReasonHalfCloseTimeout, protocol.ErrHalfCloseTimeout, stats(0, 0)).over()
		},
		"a half-close timeout too early after a byte for a handler that needs more": func(t *tale) {
			t.world.Options.HalfCloseTimeout = time.Second
			t.open().op(history.CloseWrite, alice).sends("ab").asksFor(3, "ab", 0).after(time.Millisecond).sends("c").data("abc", 3)
			t.after(time.Second-1).closed(protocol.ReasonHalfCloseTimeout, protocol.ErrHalfCloseTimeout, stats(0, 0)).over()
		},
		"as old as it may be": func(t *tale) {
			t.world.Options.MaxAge = 10 * time.Second
			t.open().limits(alice, protocol.Timeouts{MaxAge: time.Hour}).after(11*time.Second).closed(protocol.ReasonMaxAge, nil, stats(0, 0)).over()
		},
		"too young": func(t *tale) {
			t.world.Options.MaxAge = 10 * time.Second
			t.open().after(9*time.Second-1).closed(protocol.ReasonMaxAge, nil, stats(0, 0)).over()
		},
	},
	OwnError: {
		"another error": func(t *tale) {
			t.open().fails(errHandler).closed(protocol.ReasonHandlerError, io.EOF, stats(0, 0)).over()
		},
		"a bare panic": func(t *tale) { t.open().fails(nil).closed(protocol.ReasonHandlerPanic, io.EOF, stats(0, 0)).over() },
	},
	Cap: {
		"one too many": func(t *tale) {
			t.world.MaxConnections = 1
			t.open().of(2).open().aborted(0, 0).of(1).aborted(0, 0)
		},
	},
	AcceptAtRest: {
		"a place that is kept after the FIN": func(t *tale) {
			t.world.MaxConnections = 1
			t.open().op(history.Close, alice).begins(protocol.ReasonLocalClosed, nil).hears(io.EOF).of(2).note(history.Dialed).rest()
		},
		"a permit forgotten": func(t *tale) {
			t.world.MaxConnections = 1
			t.open().aborted(0, 0).of(2).note(history.Dialed).rest()
		},
	},
	EndInTime: {
		"an abort that waits": func(t *tale) {
			t.open().op(history.Abort, alice).begins(protocol.ReasonLocalAborted, protocol.ErrAborted).rest().closed(protocol.ReasonLocalAborted, protocol.ErrAborted, stats(0, 0)).over()
		},
		"a reset that is waited with for too long": func(t *tale) {
			t.open().op(history.Pause, alice).sends("ab").rest().note(history.Resetting).begins(protocol.ReasonPeerReset, syscall.ECONNRESET)
			t.after(12*time.Second).rest().closed(protocol.ReasonPeerReset, syscall.ECONNRESET, protocol.Stats{Unread: 2}).over()
		},
		"an idle connection": func(t *tale) {
			t.world.Options.IdleTimeout, t.world.Options.CloseTimeout = time.Second, time.Second
			t.open().rest().after(3400*time.Millisecond).rest().closed(protocol.ReasonIdleTimeout, protocol.ErrIdleTimeout, stats(0, 0)).over()
		},
		"a stalled one": func(t *tale) {
			t.world.Options.WriteTimeout = time.Second
			t.open().write(alice, many, nil, nil).rest().after(1260 * time.Millisecond).rest()
			t.closed(protocol.ReasonWriteTimeout, protocol.ErrWriteTimeout, stats(100, 50)).over()
		},
		"a silent peer's end that waits": func(t *tale) {
			t.world.Options.ReadTimeout, t.world.Options.CloseTimeout = time.Second, time.Second
			t.open().after(time.Second).begins(protocol.ReasonReadTimeout, protocol.ErrReadTimeout).after(2300 * time.Millisecond).rest()
			t.closed(protocol.ReasonReadTimeout, protocol.ErrReadTimeout, stats(0, 0)).over()
		},
		"a close that waits": func(t *tale) {
			t.world.Options.CloseTimeout = time.Second
			t.open().op(history.Close, alice).begins(protocol.ReasonLocalClosed, nil).after(2300*time.Millisecond).rest().closed(protocol.ReasonLocalClosed, nil, stats(0, 0)).over()
		},
	},
	NotIdle: {
		"too early": func(t *tale) {
			t.world.Options.IdleTimeout = time.Second
			t.open().after(time.Second).sends("a").data("a", 1).after(time.Second-1).closed(protocol.ReasonIdleTimeout, protocol.ErrIdleTimeout, stats(0, 0)).over()
		},
		"paused": func(t *tale) {
			t.world.Options.IdleTimeout = time.Second
			t.open().op(history.Pause, alice).rest().after(2*time.Second).rest().closed(protocol.ReasonIdleTimeout, protocol.ErrIdleTimeout, stats(0, 0)).over()
		},
		"silent, and not for so long": func(t *tale) {
			t.world.Options.ReadTimeout = time.Second
			t.open().after(time.Second).sends("a").data("a", 1).after(time.Second-1).closed(protocol.ReasonReadTimeout, protocol.ErrReadTimeout, stats(0, 0)).over()
		},
		"switched off": func(t *tale) {
			t.world.Options.IdleTimeout = time.Second
			t.open().after(time.Second-1).limits(alice, protocol.Timeouts{Idle: -1}).after(time.Second)
			t.closed(protocol.ReasonIdleTimeout, protocol.ErrIdleTimeout, stats(0, 0)).over()
		},
		"from before the call": func(t *tale) {
			t.world.Options.IdleTimeout = time.Minute
			t.open().after(10*time.Second).limits(alice, protocol.Timeouts{Idle: time.Second}).after(time.Second - 1)
			t.closed(protocol.ReasonIdleTimeout, protocol.ErrIdleTimeout, stats(0, 0)).over()
		},
		"a handler at work": func(t *tale) {
			t.world.Options.IdleTimeout = time.Second
			call := t.open().sends("a").enter(history.Record{Call: history.Data, Bytes: []byte("a")})
			t.after(2*time.Second).leave(history.Data, call, 1, nil, false).closed(protocol.ReasonIdleTimeout, protocol.ErrIdleTimeout, stats(0, 0)).over()
		},
	},
	DrainingOnce: {
		"no shutdown": func(t *tale) { t.open().call(history.Record{Call: history.Draining}).aborted(0, 0) },
		"twice": func(t *tale) {
			t.open().note(history.ShutdownBegun).call(history.Record{Call: history.Draining}).call(history.Record{Call: history.Draining}).aborted(0, 0)
		},
	},
	Answered: {
		"never": func(t *tale) {
			var id int
			t.open().mails(history.Close, alice, "", &id).closed(protocol.ReasonLocalClosed, nil, stats(0, 0)).over()
		},
		"twice": func(t *tale) {
			var id int
			t.open().mails(history.Resume, alice, "", &id).answer(id, nil).answer(id, nil).aborted(0, 0)
		},
		"not at once": func(t *tale) {
			var id int
			t.open().mails(history.Resume, alice, "", &id).rest().answer(id, nil).aborted(0, 0)
		},
		"unasked": func(t *tale) {
			var id int
			t.open().begin(history.Record{Op: history.Resume, By: alice, Mail: true}, &id).answer(id, nil).aborted(0, 0)
		},
		"a write": func(t *tale) { var id int; t.open().mails(history.Write, alice, "a", &id).aborted(1, 0) },
	},
	NoLoss: {
		"a message that is lost": func(t *tale) {
			t.open().begin(history.Record{Op: history.Send, By: alice, Mail: true}, nil).rest().aborted(0, 0)
		},
		"one that comes twice": func(t *tale) {
			var id int
			t.open().begin(history.Record{Op: history.Send, By: alice, Mail: true}, &id)
			t.call(history.Record{Call: history.Message, Of: id}).answer(id, history.DeadLetter).aborted(0, 0)
		},
	},
}

func TestEveryRuleIsBrokenByAHistory(t *testing.T) {
	for _, rule := range Rules {
		assert.NotEmpty(t, bad[rule], "%s", rule)
		for name, write := range bad[rule] {
			t.Run(string(rule)+"/"+name, func(t *testing.T) {
				tale := newTale()
				write(tale)
				var broken []Rule
				for _, v := range Violations(tale.world, tale.records) {
					broken = append(broken, v.Rule)
				}
				require.NotEmpty(t, broken)
				assert.Equal(t, rule, broken[0])
			})
		}
	}
	assert.Len(t, bad, len(Rules))
}

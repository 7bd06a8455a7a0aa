package check

import (
	"context"
	"maps"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

func init() { maps.Copy(bad, badRoom) }

// badRoom are histories that break a rule of tokens or of room.
var badRoom = map[Rule]map[string]func(t *tale){
	Token: {
		"lost": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			var id int
			t.open().write(alice, many, nil, nil).rest().bids(bob, 1, "x", &id).answer(id, protocol.ErrWriteQueueFull)
			t.writable(false).writable(true).roomTold(1).aborted(100, 50)
		},
		"with success": func(t *tale) {
			var id int
			t.open().begin(history.Record{Op: history.Write, By: bob, Mail: true, Asked: true, Token: true, From: 1, Bytes: []byte("x"), N: 1}, &id)
			t.comesBack(id, nil).gets("x").aborted(1, 0)
		},
		"success told": func(t *tale) { var id int; t.open().bids(bob, 1, "x", &id).answer(id, nil).gets("x").aborted(1, 0) },
	},
	RefusedFull: {
		"the network would take it": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			t.open().write(alice, many, nil, nil).refuses(alice, "x", protocol.ErrWriteQueueFull, 1).writable(false).writable(true).aborted(100, 50)
		},
		"more than the peer has read": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			t.open().write(alice, many, nil, nil).gets(many[:40]).refuses(alice, "x", protocol.ErrWriteQueueFull, 41).writable(false).writable(true).aborted(140, 10)
		},
		"the peer has read it long ago": func(t *tale) {
			t.world.Options.WriteBufferSize = 150
			t.open().write(alice, many, nil, nil).gets(many[:40]).after(1).refuses(alice, many[:60], protocol.ErrWriteBufferFull, 40).writable(false).writable(true).aborted(140, 10)
		},
		"by mail": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			var id int
			t.open().write(alice, many, nil, nil).mails(history.Write, bob, "x", &id)
			t.add(history.Record{What: history.Answer, ID: id, Err: protocol.ErrWriteQueueFull, Mail: true, Room: 2}).writable(false).writable(true).aborted(100, 50)
		},
		"dropped": func(t *tale) {
			t.world.Options.WriteQueueSize, t.world.Options.SlowConsumer = 1, connection.SlowDropNewest
			var id int
			t.open().write(alice, many, nil, nil).write(alice, "x", &id, nil)
			t.call(history.Record{Call: history.Completion, Of: id, Err: protocol.ErrDropped, Room: 2})
			t.op(history.Abort, alice).closed(protocol.ReasonLocalAborted, protocol.ErrAborted, protocol.Stats{Written: 100, Unsent: 50, Dropped: 1}).over()
		},
		"a slow consumer that is none": func(t *tale) {
			t.world.Options.WriteQueueSize, t.world.Options.SlowConsumer = 1, connection.SlowClose
			t.open().write(alice, many, nil, nil).gets(many[:10]).rest()
			t.begin(history.Record{Op: history.Write, By: alice, Mail: true, Bytes: []byte("x"), N: 1}, nil).answer(t.ids, history.DeadLetter)
			t.begun = append(t.begun, 1)
			t.call(history.Record{Call: history.EndBegun, Closing: &protocol.Closing{Reason: protocol.ReasonSlowConsumer, Err: protocol.ErrWriteQueueFull}, Room: 2})
			t.closed(protocol.ReasonSlowConsumer, protocol.ErrWriteQueueFull, stats(110, 40)).over()
		},
		"the kernel takes more than was written": func(t *tale) {
			t.world.Options.WriteQueueSize, t.world.Network, t.world.Kernel = 2, 0, Kernel{Writes: 10, Bytes: 100}
			t.open().write(alice, "a", nil, nil).write(alice, "b", nil, nil).write(alice, "c", nil, protocol.ErrWriteQueueFull)
			t.writable(false).writable(true).aborted(2, 0)
		},
		"the kernel, and the buffer": func(t *tale) {
			t.world.Options.WriteBufferSize, t.world.Network, t.world.Kernel = 60, 0, Kernel{Writes: 10, Bytes: 100}
			t.open().write(alice, many[:60], nil, nil).write(alice, many[:40], nil, nil).write(alice, many[:60], nil, protocol.ErrWriteBufferFull)
			t.writable(false).writable(true).aborted(100, 0)
		},
	},
	RoomFollows: {
		"nothing is told": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			t.open().write(alice, many, nil, nil).rest().refuses(alice, "x", protocol.ErrWriteQueueFull, 0).gets(many).rest().aborted(150, 0)
		},
		"not ready is the last word": func(t *tale) {
			t.world.Options.HighWater = 10
			t.open().write(alice, many, nil, nil).writable(false).gets(many).rest().aborted(150, 0)
		},
		"ready was told before": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			t.open().write(alice, many, nil, nil).rest().refuses(alice, "x", protocol.ErrWriteQueueFull, 0).writable(false).writable(true)
			t.refuses(alice, "x", protocol.ErrWriteQueueFull, 0).gets(many).rest().aborted(150, 0)
		},
	},
	SenderTold: {
		"never": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			var id int
			t.open().write(alice, many, nil, nil).rest().bids(bob, 1, "x", &id).comesBack(id, protocol.ErrWriteQueueFull)
			t.writable(false).gets(many).writable(true).rest().aborted(150, 0)
		},
		"before": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			var id int
			t.open().write(alice, many, nil, nil).rest().bids(bob, 1, "x", &id).roomTold(1).comesBack(id, protocol.ErrWriteQueueFull)
			t.writable(false).writable(true).aborted(100, 50)
		},
		"twice": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			var id int
			t.open().write(alice, many, nil, nil).rest().bids(bob, 1, "x", &id).comesBack(id, protocol.ErrWriteQueueFull)
			t.writable(false).writable(true).roomTold(1).roomTold(1).aborted(100, 50)
		},
		"another one": func(t *tale) {
			t.world.Options.WriteQueueSize = 1
			var id int
			t.open().write(alice, many, nil, nil).rest().bids(bob, 1, "x", &id).comesBack(id, protocol.ErrWriteQueueFull)
			t.writable(false).writable(true).roomTold(2).aborted(100, 50)
		},
	},
	WaitCounts: {
		"less, without an error": func(t *tale) { var id int; t.open().waits(alice, "abc", &id).waited(id, 2, nil).aborted(0, 0) },
		"all, with one": func(t *tale) {
			var id int
			t.open().waits(alice, "abc", &id).waited(id, 3, context.Canceled).aborted(0, 0)
		},
		"more than there is": func(t *tale) { var id int; t.open().waits(alice, "abc", &id).waited(id, 4, nil).aborted(0, 0) },
	},
	WaitEnds: {
		"refused": func(t *tale) {
			var id int
			t.open().waits(alice, "abc", &id).waited(id, 0, protocol.ErrWriteQueueFull).aborted(0, 0)
		},
		"its context is not done": func(t *tale) {
			var id int
			t.open().waits(alice, "abc", &id).waited(id, 0, context.DeadlineExceeded).aborted(0, 0)
		},
		"not with its context": func(t *tale) {
			var id int
			t.open().waits(alice, many, &id).expires(id).rest().waited(id, 0, context.Canceled).aborted(0, 0)
		},
		"not with its connection": func(t *tale) {
			var id int
			t.open().waits(alice, many, &id).op(history.CloseWrite, bob).rest().waited(id, 0, protocol.ErrClosed).aborted(0, 0)
		},
		"not with its connection, by mail": func(t *tale) {
			var id int
			t.open().waits(alice, many, &id).begin(history.Record{Op: history.CloseWrite, By: bob, Mail: true}, nil).rest()
			t.waited(id, 0, protocol.ErrClosed).aborted(0, 0)
		},
		"never": func(t *tale) { var id int; t.open().waits(alice, many, &id).aborted(0, 0) },
		"not with room": func(t *tale) {
			var id int
			t.open().waits(alice, many, &id).gets(many[:50]).rest().waited(id, 150, nil).aborted(150, 0)
		},
		"not with room, in a handler": func(t *tale) {
			t.open()
			call := t.enter(history.Record{Call: history.Message})
			var id int
			t.waits(turn, many, &id).gets(many[:50]).rest().waited(id, 150, nil).leave(history.Message, call, 0, nil, false).aborted(150, 0)
		},
	},
	WaitUnmixed: {
		"a piece of another one": func(t *tale) {
			t.world.Options.WriteBufferSize = 2
			var a, b int
			t.open().waits(alice, "abcd", &a).waits(bob, "efgh", &b).waited(a, 4, nil).waited(b, 4, nil).gets("abefcdgh").aborted(8, 0)
		},
	},
}

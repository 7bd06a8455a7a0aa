// Package owner gives a connection to an actor that may be on another node. That actor, its owner,
// gets the connection's events in the forms of package wire, and commands the connection by its
// PID.
//
//	connections, err := owner.New(owner.Options{Owner: room, Grace: 10 * time.Second})
//	...
//	server, err := berth.ListenIn(system.Root, addr, berth.Actors(connections), berth.Options{})
//
// An owner first gets *wire.Owned. Each *wire.Data has a number. The owner sends *wire.Handled with
// the last number that it has handled, as a request, so that it is known as the sender. At most
// Credit Data are not acknowledged at any time; then the connection is not read, and the peer is
// slowed down by TCP. So an owner that is slow holds a bounded amount of memory on both nodes.
//
// If the owner ends, or its node does, the connection is closed; with Grace it is not read for so
// long, and another actor may send *wire.TakeOver. That one gets Owned, every Data that was not
// acknowledged once more, and then what follows. So a Data may be handled by two owners, one after
// the other (its Again says so), and none is skipped. Other events that still hold come again too,
// each in its place among the Data: Writable not ready, Draining, TLSStarted, PeerClosed, Closing.
//
// For its own writes an owner has Writes: it names those whose answer it will not get any more.
//
// A connection believes every actor that knows its PID: where peers are not to be trusted, the
// remote endpoint needs mutual TLS.
package owner

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/wire"
)

// Reasons of a *wire.Refused. On the other node only their text is the same.
var (
	ErrNotOwner = errors.New("owner: the sender is not the connection's owner")
	ErrOwned    = errors.New("owner: the connection has an owner, which lives")
	ErrFuture   = errors.New("owner: a number that no Data had yet")
)

// Options of the connections of a listener.
type Options struct {
	// Owner returns the owner of a new connection. It is called on the connection's turn. For nil
	// the connection waits as after the loss of an owner.
	Owner func(protocol.Socket) *actor.PID
	// Credit is how many Data may wait for their acknowledgement. A Data has at most ReadBufferSize
	// bytes. Default 8.
	Credit int
	// Grace is how long a connection without an owner waits for another. Default 0: it is closed at
	// once. Writes that were accepted are flushed.
	Grace time.Duration
}

// New returns the actors of connections, for berth.Actors. ReadMode is to be Push, the default.
func New(options Options) (func() actor.Actor, error) {
	switch {
	case options.Owner == nil:
		return nil, errors.New("owner: Options need an Owner")
	case options.Credit < 0 || options.Credit > 1<<20:
		return nil, errors.New("owner: Credit must be between 1 and 1,048,576, or 0 for the default")
	case options.Grace < 0:
		return nil, errors.New("owner: Grace must not be negative")
	case options.Credit == 0:
		options.Credit = 8
	}
	return func() actor.Actor { return &owned{options: options} }, nil
}

// owned is the actor of one connection.
type owned struct {
	options Options
	socket  protocol.Socket
	owner   *actor.PID   // nil: it was lost
	before  *actor.PID   // the last one that was lost
	sent    uint64       // the number of the last Data
	waiting []*wire.Data // not acknowledged
	holding []held       // what another owner is to know
	paused  bool
	grace   *time.Timer
	losses  int // of owners: a graceOver of an earlier one is late
}

// held is an event that holds from its time on: another owner is told it again, as a handler that
// replaces another is.
type held struct {
	form  any
	after uint64 // the number of the last Data before it
}

// graceOver comes when a connection has waited long enough.
type graceOver struct{ losses int }

// Receive implements actor.Actor.
func (o *owned) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *protocol.Accepted:
		o.socket = m.Socket
		if pid := o.options.Owner(m.Socket); pid != nil {
			o.assign(ctx, pid)
		} else {
			o.lost(ctx)
		}
	case *protocol.Data:
		o.data(ctx, m)
	case *protocol.PeerClosed, *protocol.Writable, *protocol.Draining, *protocol.TLSStarted, *protocol.Closing, *protocol.Closed:
		o.tell(ctx, m.(protocol.Event))
	case *wire.Handled:
		o.handled(ctx, m)
	case *wire.TakeOver:
		o.takeOver(ctx)
	case *actor.Terminated:
		if o.owner != nil && m.Who.Equal(o.owner) {
			o.lost(ctx)
		}
	case *graceOver:
		if o.owner == nil && m.losses == o.losses {
			_ = o.socket.Close()
		}
	case *actor.Stopped, *actor.Restarting:
		o.stopGrace()
	}
}

func (o *owned) data(ctx actor.Context, m *protocol.Data) {
	form, err := wire.Encode(m)
	if err != nil { // not possible: the PID of a connection can be sent
		panic(err)
	}
	m.Buffer.Discard(m.Buffer.Len())
	o.sent++
	data := form.(*wire.Data)
	data.Number = o.sent
	o.waiting = append(o.waiting, data)
	if o.owner != nil {
		ctx.Request(o.owner, data)
	}
	o.adjust()
}

// adjust reads the connection or not, as the credit and the owner allow.
func (o *owned) adjust() {
	pause := o.owner == nil || len(o.waiting) >= o.options.Credit
	switch {
	case pause && !o.paused:
		o.socket.Pause()
	case !pause && o.paused:
		o.socket.Resume()
	}
	o.paused = pause
}

// tell sends the owner an event, and keeps it for another one while it holds.
func (o *owned) tell(ctx actor.Context, event protocol.Event) {
	form, err := wire.Encode(event)
	if err != nil { // not possible: as in data
		panic(err)
	}
	holds := true
	switch m := event.(type) {
	case *protocol.Writable: // the two alternate: it ends the one before it
		o.holding = slices.DeleteFunc(o.holding, func(h held) bool { _, is := h.form.(*wire.Writable); return is })
		holds = !m.Ready
	case *protocol.Closed:
		holds = false // nothing comes after it
	}
	if holds {
		o.holding = append(o.holding, held{form, o.sent})
	}
	if o.owner != nil {
		ctx.Request(o.owner, form)
	}
}

func (o *owned) assign(ctx actor.Context, pid *actor.PID) {
	o.stopGrace()
	o.owner = pid
	ctx.Watch(pid)
	ctx.Request(pid, &wire.Owned{
		Connection: wire.NewPID(o.socket.PID()), LocalAddr: text(o.socket.LocalAddr().String()), RemoteAddr: text(o.socket.RemoteAddr().String()),
		Handled: o.sent - uint64(len(o.waiting)), Credit: uint32(o.options.Credit), Before: o.predecessor(),
	})
	holding := o.holding
	remind := func(before uint64) {
		for len(holding) > 0 && holding[0].after < before {
			ctx.Request(pid, holding[0].form)
			holding = holding[1:]
		}
	}
	for i, data := range o.waiting {
		remind(data.Number)
		again := &wire.Data{
			Connection: data.Connection, Bytes: data.Bytes, Offset: data.Offset, Eof: data.Eof, Number: data.Number, Again: true,
		}
		o.waiting[i] = again
		ctx.Request(pid, again)
	}
	remind(o.sent + 1)
	o.adjust()
}

// predecessor is the owner until now. The name of an actor may be any bytes.
func (o *owned) predecessor() *wire.PID {
	before := wire.NewPID(o.before)
	if before != nil {
		before.Address, before.Id = text(before.Address), text(before.Id)
	}
	return before
}

// text makes a string one that protobuf takes: the path of a unix socket may be any bytes.
func text(s string) string { return strings.ToValidUTF8(s, string(utf8.RuneError)) }

func (o *owned) lost(ctx actor.Context) {
	o.before, o.owner = o.owner, nil
	o.losses++
	if o.options.Grace <= 0 {
		_ = o.socket.Close()
		return
	}
	o.adjust()
	root, self, losses := ctx.ActorSystem().Root, ctx.Self(), o.losses
	o.grace = time.AfterFunc(o.options.Grace, func() { root.Send(self, &graceOver{losses}) })
}

func (o *owned) stopGrace() {
	if o.grace != nil {
		o.grace.Stop()
		o.grace = nil
	}
}

func (o *owned) handled(ctx actor.Context, m *wire.Handled) {
	first := o.sent - uint64(len(o.waiting)) // the last one that was acknowledged
	switch {
	case o.owner == nil || !o.owner.Equal(ctx.Sender()):
		o.refuse(ctx, ErrNotOwner)
		return
	case m.GetNumber() > o.sent:
		o.refuse(ctx, ErrFuture)
		return
	case m.GetNumber() <= first:
		return // late
	}
	n := copy(o.waiting, o.waiting[m.GetNumber()-first:])
	clear(o.waiting[n:])
	o.waiting = o.waiting[:n]
	o.adjust()
}

func (o *owned) takeOver(ctx actor.Context) {
	switch sender := ctx.Sender(); {
	case sender == nil: // the reason is for no one, and the connection goes on waiting
	case o.owner != nil && !o.owner.Equal(sender):
		o.refuse(ctx, ErrOwned)
	default: // the owner itself may begin anew, after a restart of its own
		o.assign(ctx, sender)
	}
}

func (o *owned) refuse(ctx actor.Context, err error) {
	if sender := ctx.Sender(); sender != nil {
		ctx.Request(sender, &wire.Refused{Connection: wire.NewPID(o.socket.PID()), Error: wire.NewError(err)})
	}
}

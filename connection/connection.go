package connection

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// Connection is the actor of one socket. It fetches input on its own turn, shows it to the handler, obeys
// commands, and sees the connection to its end; its writer, an actor beside it, brings out what was accepted.
// It is also the protocol.Socket that handlers hold.
//
// What other goroutines want is mail (commands, in order with everything else) or a signal (a bit that says
// what happened; any number of times is once). Whatever ends the connection sets the cause first: the first one wins.
type Connection struct {
	protocol.Sealed

	shared  *settings // what the connections of one listener have in common
	socket  transport.Conn
	pid     *actor.PID
	mailbox tcpactor.Mailbox
	writer  writer
	born    time.Duration // on the spawner's clock

	// Any goroutine.
	credit  credit
	cause   atomic.Pointer[cause]
	rare    atomic.Pointer[rare] // nil until needed
	read    atomic.Uint64
	written atomic.Uint64
	signals atomic.Uint32
	phase   atomic.Uint32 // a state, and halfClosed
	paused  atomic.Bool   // set on the connection's turn
	gated   atomic.Bool   // input waits for the writes to be released: whoever releases them wakes us

	completions completions

	// The connection's turn only.
	receiver tcpactor.Receiver // nil until open: a failed handshake has no handler
	input    transport.Input
	shown    *shown // from its presentation to the handler's return
	flags    flags
	demand   atomic.Int32 // how many Data may be shown; unlimited where they are not counted. Any goroutine may read it

	index  int32   // in Spawner.live; under its lock
	permit *Permit // nil or waitsForFIN once it is given back; under the Spawner's lock
	timing timing  // the sweep's
}

// flags of the connection's turn.
type flags struct {
	tenure      tenure
	delivering  bool // the handler is being called with an event
	shaking     bool // the handshake goes on
	forced      bool // a Resume, or a new handler, wants a call with the bytes that are there, or they came with the handshake
	inputEnded  bool // no input will come any more
	inputKnown  bool // the handler's side has taken note of it
	writerEnded bool
	writerGone  bool // its actor has stopped
	highTold    bool // the last Writable said not ready
	aborted     bool // the socket is reset: there is no input to wait for
	draining    bool // the handler knows of the shutdown
	aged        bool // the handler knows of its MaxAge
	left        bool // the handler knows that the actor has stopped
	closingTold bool // the handler knows that the end has begun
	bulk        bool // the last read filled a small piece
}

// unlimited as a demand: nobody counts.
const unlimited = -1

// cause says what ended a connection.
type cause struct {
	reason protocol.Reason
	err    error
}

// plain are the causes without an error: most connections end in an orderly way, and theirs needs no memory.
var plain = func() (causes [protocol.ReasonStopped + 1]cause) {
	for reason := range causes {
		causes[reason].reason = protocol.Reason(reason)
	}
	return causes
}()

func causeOf(reason protocol.Reason, err error) *cause {
	if err == nil && int(reason) < len(plain) {
		return &plain[reason]
	}
	return &cause{reason, err}
}

var _ protocol.Socket = (*Connection)(nil)
var _ actor.Actor = (*Connection)(nil)
var _ tcpactor.Source = (*Connection)(nil)
var _ tcpactor.FailureTaker = (*Connection)(nil)
var _ tcpactor.WatchTaker = (*Connection)(nil)

// attend is the message by which the mailbox tells the connection to look at its signals.
type attend struct{}

var attendNow = &attend{}

// order is a command through the handle, with its completion.
type order struct {
	command protocol.Command
	done    func(error)
}

// Receive implements actor.Actor.
func (c *Connection) Receive(ctx actor.Context) {
	message := ctx.Message()
	if c.flags.delivering && ours(message) {
		_ = c.receiver.Receive(ctx, message) // a nested delivery: its error goes the way of the outer one
		return
	}
	switch m := message.(type) {
	case *protocol.Data:
		if c.shown != nil && m == &c.shown.data {
			c.show(ctx)
		}
	case *attend:
		c.attend(ctx)
	case *order:
		c.obey(ctx, m.command, reply{done: m.done})
	case protocol.Command:
		c.obey(ctx, m, replyTo(ctx.Sender(), m))
	case *linkDown:
		c.linkDown(ctx, m.who)
	case *linkEnded:
		c.finish(ctx, protocol.ReasonLinkDown, &protocol.LinkDownError{PID: m.who})
	case *protocol.GetInfo:
		info := c.Info()
		ctx.Respond(&info)
	case protocol.Event:
		// Only connections make events; one that comes by mail is a mistake of its sender.
	case *actor.Started:
		c.start(ctx)
	case *actor.Stopping:
		c.stopping(ctx)
	case *actor.Stopped:
		c.stopped(ctx, m)
	case *actor.Terminated:
		c.terminated(ctx, m)
	default:
		c.handOn(ctx, m)
	}
}

// handOn delivers a message of the user's. Closing comes before the mail that waits, which may be much. A Closing that ends the
// goroutine (runtime.Goexit) takes the message at hand with it, so that is dropped then.
func (c *Connection) handOn(ctx actor.Context, message any) {
	told := c.cause.Load() == nil
	if !told {
		defer func() {
			if !told {
				c.Drop(&actor.MessageEnvelope{Message: message, Sender: ctx.Sender()})
			}
		}()
		c.tellClosing(ctx)
		told = true
	}
	if c.state() == opening || c.state() == closed {
		c.Drop(&actor.MessageEnvelope{Message: message, Sender: ctx.Sender()})
		return
	}
	c.deliver(ctx, message)
}

// deliver calls the handler. Whatever goes wrong there ends this connection, or only its handler, and nothing else.
func (c *Connection) deliver(ctx actor.Context, message any) {
	if c.flags.tenure != serving && !final(message) {
		return // a new handler is reminded of what still holds
	}
	c.try(ctx, message)
	c.replace(ctx)
}

// try calls the handler, guarded. One that panics may be left broken, for replace.
func (c *Connection) try(ctx actor.Context, message any) {
	if c.receiver == nil {
		return
	}
	returned := false
	defer c.guard(ctx, &returned)
	defer c.delivered(c.flags.delivering)
	c.flags.delivering = c.flags.delivering || ours(message)
	err := c.receiver.Receive(ctx, message)
	orderly := err != nil && c.reaction(err) // before returned: the error's own Is is the user's code
	returned = true
	switch {
	case orderly:
		c.phase.And(^salvaging)
		c.finish(ctx, c.cause.Load().reason, nil)
	case err != nil:
		c.failed(ctx, protocol.ReasonHandlerError, err)
	}
}

func (c *Connection) delivered(before bool) { c.flags.delivering = before }

// ours reports that message is one that the connection makes for its handler. One that comes up while another is delivered can come to
// Receive only by a nested delivery, or as the handler's own invention.
func ours(message any) bool {
	switch message.(type) {
	case protocol.Event, *actor.Started, *actor.Restarting:
		return true
	}
	return false
}

// call runs a completion. It is the handler's code as much as what the connection calls itself.
func (c *Connection) call(ctx actor.Context, one completion) {
	c.tryCall(ctx, one)
	c.replace(ctx)
}

func (c *Connection) tryCall(ctx actor.Context, one completion) {
	returned := false
	defer c.guard(ctx, &returned)
	one.done(one.err)
	returned = true
	runtime.KeepAlive(c) // see Enclosing
}

// makeHandler makes the handler.
func (c *Connection) makeHandler(ctx actor.Context) (opened bool) {
	defer c.guard(ctx, &opened)
	c.receiver = c.shared.factory.Open()
	return true
}

// guard is deferred around every piece of the user's code.
func (c *Connection) guard(ctx actor.Context, returned *bool) {
	if *returned {
		return
	}
	if value := recover(); value != nil {
		c.panicked(ctx, &protocol.PanicError{Value: value, Stack: debug.Stack()})
		return
	}
	// runtime.Goexit: the goroutine ends, the mailbox escalates, and our supervisor stops us. A new handler would not help: the goroutine
	// may be the one that reads the socket.
	c.setCause(protocol.ReasonHandlerPanic, protocol.ErrGoexit)
}

// Failed implements tcpactor.FailureTaker: code of the user's failed that Proto.Actor runs by itself. It ends this connection, or only
// its handler, as if it had been called by try.
func (c *Connection) Failed(ctx actor.Context, message, reason any) (taken bool) {
	if !tcpactor.RunsUserCode(message) {
		return false
	}
	if reason == nil {
		c.setCause(protocol.ReasonHandlerPanic, protocol.ErrGoexit)
		return false
	}
	c.panicked(ctx, &protocol.PanicError{Value: reason, Stack: debug.Stack()})
	c.replace(ctx)
	return true
}

// failed ends the connection because of its handler, which is shown no more. What was accepted is still flushed: it may be the
// error message for the peer.
func (c *Connection) failed(ctx actor.Context, reason protocol.Reason, err error) {
	c.phase.And(^salvaging)
	c.shared.publish(&HandlerFailed{PID: c.pid, Reason: reason, Err: err})
	c.finish(ctx, reason, err)
}

// signal tells the connection that something happened. Any goroutine may call it.
func (c *Connection) signal(bit uint32) {
	c.signals.Or(bit)
	c.mailbox.Schedule()
}

// signalOnce is signal for what is signalled often: it gives no turn where that was signalled already.
func (c *Connection) signalOnce(bit uint32) {
	if c.signals.Or(bit)&bit == 0 {
		c.mailbox.Schedule()
	}
}

// blame gives the end an error that was orderly until err cut its flush off. The reason stays the first one.
func (c *Connection) blame(err error) {
	if why := c.cause.Load(); why != nil && why.err == nil {
		c.cause.CompareAndSwap(why, &cause{why.reason, err})
	}
}

// causeErr returns what writes fail with that the end of the connection cut off.
func (c *Connection) causeErr() error {
	if why := c.cause.Load(); why != nil && why.err != nil {
		return why.err
	}
	return protocol.ErrClosed
}

// closedErr returns the error of a write to a connection that accepts no more: what the peer or the
// network ended it with, else ErrClosed. Any goroutine may call it.
func (c *Connection) closedErr() error {
	why := c.cause.Load()
	if why == nil || why.err == nil {
		return protocol.ErrClosed
	}
	switch {
	case why.reason == protocol.ReasonPeerReset, why.reason == protocol.ReasonTransportError:
		return why.err
	case why.reason == protocol.ReasonPeerClosed && transport.IsReset(why.err): // its reset came during our flush
		return why.err
	}
	return protocol.ErrClosed
}

// refusal returns the error that the caller of a refused write of n bytes gets.
func (c *Connection) refusal(n int, err error) error {
	switch {
	case errors.Is(err, protocol.ErrClosed):
		return c.closedErr()
	case errors.Is(err, protocol.ErrWriteTooLarge):
		return fmt.Errorf("%w: %d bytes with a WriteBufferSize of %d; WriteContext takes any length", err, n, c.shared.limits.bytes)
	}
	return err
}

// reaction reports that a handler returned err because the connection had begun to end: it is the error
// of a write that was refused or cut off. Nothing has failed then.
func (c *Connection) reaction(err error) bool {
	why := c.cause.Load()
	switch {
	case why == nil:
		return false
	case errors.Is(err, net.ErrClosed), transport.IsReset(err):
		return true
	}
	failure := why.reason == protocol.ReasonHandlerError || why.reason == protocol.ReasonHandlerPanic
	return why.err != nil && !failure && errors.Is(err, why.err)
}

// kill ends the connection at once, from any goroutine: the socket is reset, which also frees the writer; the handler gets
// Closed as soon as it returns from what it is doing.
func (c *Connection) kill(reason protocol.Reason, err error) {
	c.setCause(reason, err)
	if !c.credit.idle() {
		c.blame(err)
	}
	c.refuseWrites()
	c.socket.Abort()
	c.signals.Or(signalAborted) // before the writer can tell of its end: that is no orderly one
	c.writer.order(orderGiveUp)
	c.mailbox.Schedule() // in closing the writer has ended already, and an aborted socket announces nothing
}

func (c *Connection) system() *actor.ActorSystem { return c.shared.system }

func yield() { runtime.Gosched() }

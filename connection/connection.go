package connection

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"
)

// Connection is the actor of one socket. It fetches input on its own turn, shows it to the handler,
// obeys commands, and ends the connection. Its writer, an actor beside it, writes what was
// accepted. A Connection is also the protocol.Socket that handlers hold.
//
// Other goroutines send mail (commands, in order with everything else) or raise a signal (a bit
// that says what happened; raised several times it counts once). Code that ends the connection sets
// the cause first: the first cause wins.
type Connection struct {
	protocol.Sealed

	shared  *settings      // what the connections of one listener have in common
	socket  transport.Conn // see conn
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
	gated   atomic.Bool   // input waits for the writes to be released: their release wakes the connection

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
	stage       stage
	forced      forcing
	unseen      bool // of the bytes that are there the handler has not been shown all, because it needs more
	inputEnded  bool // no input will come any more
	inputKnown  bool // the handler's side knows of it
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

// stage says how far the opening of a connection has come.
type stage uint8

const (
	unopened stage = iota
	shaking        // the handshake goes on
	opened         // it has been open, and Opened is published
)

// unlimited as a demand: Data is not counted.
const unlimited = -1

var _ protocol.Socket = (*Connection)(nil)
var _ actor.Actor = (*Connection)(nil)
var _ tcpactor.Source = (*Connection)(nil)
var _ tcpactor.FailureTaker = (*Connection)(nil)
var _ tcpactor.WatchTaker = (*Connection)(nil)

// attend is the message by which the mailbox tells the connection to handle its signals.
type attend struct{}

var attendNow = &attend{}

// order is a command that came through the handle, with its completion.
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
	case *tlsOrder:
		c.startTLS(ctx, m)
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
	case protocol.Foreign:
		c.translate(ctx, m)
	default:
		c.handOn(ctx, m)
	}
}

// handOn delivers a message of the user's. Closing comes before the mail that waits, which may be
// much. A Closing that ends the goroutine (runtime.Goexit) takes the message at hand with it, so
// that is dropped then.
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

// conn returns the transport: the one that the connection began with, or what StartTLS has put in
// its place. Any goroutine may call it.
func (c *Connection) conn() transport.Conn { return c.connIn(c.phase.Load()) }

func (c *Connection) connIn(phase uint32) transport.Conn {
	if phase&covered == 0 {
		return c.socket
	}
	return c.rare.Load().covering
}

// signal tells the connection that something happened. Any goroutine may call it.
func (c *Connection) signal(bit uint32) {
	c.signals.Or(bit)
	c.mailbox.Schedule()
}

// signalOnce is signal for signals that come often: it gives no turn if the signal was raised
// already.
func (c *Connection) signalOnce(bit uint32) {
	if c.signals.Or(bit)&bit == 0 {
		c.mailbox.Schedule()
	}
}

// reaction reports whether a handler returned err because the connection had begun to end: it is
// the error of a write that was refused or cut off. Nothing has failed then.
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

// kill ends the connection at once, from any goroutine: the socket is reset, which also frees the
// writer; the handler gets Closed as soon as it returns from what it is doing.
func (c *Connection) kill(reason protocol.Reason, err error) {
	c.setCause(reason, err)
	if !c.credit.idle() {
		c.blame(err)
	}
	c.refuseWrites()
	c.conn().Abort()
	c.signals.Or(signalAborted) // before the writer can tell of its end: that is no orderly one
	c.writer.order(orderGiveUp)
	c.mailbox.Schedule() // in closing the writer has ended already, and an aborted socket announces nothing
}

func (c *Connection) system() *actor.ActorSystem { return c.shared.system }

func yield() { seam.Gosched() }

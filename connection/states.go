package connection

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// state is the stage of a connection's life. It only moves forward:
//
//	opening ──► open ──► flushing ──► closing ──► closed
//
//	opening   the handshake goes on; there is no handler yet, and nothing is written
//	open      Data is shown, writes are accepted
//	flushing  nothing is accepted any more; the writer sends what was accepted, then FIN
//	closing   FIN is sent; the peer's remaining input is discarded until its FIN
//	closed    the socket is released, Closed delivered; the actors stop
//
// A state with nothing to do is skipped. An abort goes from any state to closed, after the writer
// has failed every pending write.
type state = protocol.State

const (
	opening  = protocol.StateOpening
	open     = protocol.StateOpen
	flushing = protocol.StateFlushing
	closing  = protocol.StateClosing
	closed   = protocol.StateClosed
)

// Bits of Connection.phase beside the state.
const (
	halfClosed uint32 = 1 << (8 + iota) // one direction has ended, the peer's or ours; gone with the next state, as the next one
	inputOver                           // of those, the peer's
	met                                 // a handler has been given Accepted, or is just given it
	announced                           // Closing is published, or is just being published
	unwatched                           // nothing is read, and the transport does not tell of the peer's end
	another                             // changes where something that has a time limit begins anew
	salvaging                           // the peer is gone; what it sent before is still shown, and waits for the handler
	sated                               // the handler is shown no more input
	torn                                // the end was no orderly one
	forgotten                           // the PID is no longer known
	securing                            // StartTLS was called, and its handshake is not over: no input is shown
	covered                             // StartTLS has put TLS over the socket; see conn
	shakes                              // its handshake goes on, and has a time limit
)

// kept are the parts of a phase that a change of the state leaves as they are.
const kept = met | announced | sated | securing | covered | shakes

// observed are the parts of a phase that, when they change, begin something with a time limit.
const observed = another | halfClosed | (halfClosed - 1)

func (c *Connection) state() state { return state(c.phase.Load() % halfClosed) }

func (c *Connection) setState(s state) {
	for {
		before := c.phase.Load()
		if c.phase.CompareAndSwap(before, before&kept|uint32(s)) {
			return
		}
	}
}

// Signals to a connection, besides its mail. The same signal raised several times counts once.
const (
	signalOpened uint32 = 1 << iota
	signalInputEnded
	signalReadFull
	signalWriterEnded
	signalCompletions
	signalWater
	signalRefused    // a write, for lack of room or of memory
	signalDrain      // the server shuts down
	signalAged       // MaxAge
	signalQuiet      // draining or aged, and nothing has moved for a while
	signalOverdue    // MaxAgeGrace
	signalShutdown   // the time for draining is over
	signalIdle       // IdleTimeout
	signalSilent     // ReadTimeout
	signalStall      // WriteTimeout
	signalLate       // CloseTimeout
	signalSlow       // SlowClose
	signalHalf       // HalfCloseTimeout
	signalUnfinished // HandshakeTimeout
	signalAborted    // by kill
	signalClosing    // the cause of the end was set
	signalPeerEnded  // the sweep has seen it
	signalResume     // ResumeAtOnce
	signalSecured    // the handshake of a StartTLS is over
)

// start begins the state opening.
func (c *Connection) start(ctx actor.Context) {
	if c.socket.Open(c) {
		c.open(ctx, false)
	} else {
		c.flags.stage = shaking // Pull goes on with it
		c.publishHandshakeStarted()
	}
}

// shakeHands goes on with the handshake. It returns attend when it is over.
func (c *Connection) shakeHands() any {
	ahead := c.ahead(c.shared.options.ReadBufferSize)
	if !c.affordsHeader(ahead) {
		return nil
	}
	err := c.conn().Handshake(&c.input, ahead)
	c.account()
	if err == transport.ErrAgain {
		return nil
	}
	c.flags.stage = unopened
	if err != nil {
		c.unfinished(err)
	} else {
		c.signals.Or(signalOpened)
	}
	return attendNow
}

// unfinished ends a connection after its handshake failed. No handler has seen the connection, so
// HandshakeFailed is its only event.
func (c *Connection) unfinished(err error) {
	if c.cause.Load() == nil && !errors.Is(err, transport.ErrRefused) {
		c.publishHandshakeFailed(err)
	}
	c.kill(protocol.ReasonHandshake, err)
}

// open begins the state open: the handler is made and gets Accepted. shook says that a handshake is
// done.
func (c *Connection) open(ctx actor.Context, shook bool) {
	if c.cause.Load() != nil {
		return // aborted meanwhile; no handler has seen this connection
	}
	if c.dialled() {
		d := c.rare.Load().dialled
		if !d.open() {
			return // given up meanwhile, and about to be aborted
		}
		defer func() {
			d.err = c.handlerErr()
			close(d.accepted)
		}()
	}
	c.setState(open)
	c.read.Add(uint64(c.input.Len()))
	if c.input.Len() > 0 {
		c.flags.forced = due // they came with the handshake
	}
	c.writer.open()
	c.publishOpened(shook)
	c.host(ctx)
	if c.shared.draining() {
		c.signal(signalDrain) // the first one came too early for the handler
	}
}

// attend handles the signals.
func (c *Connection) attend(ctx actor.Context) {
	bits := c.signals.Swap(0)
	is := func(bit uint32) bool { return bits&bit != 0 }
	if is(signalClosing) {
		c.tellClosing(ctx)
	}
	if is(signalCompletions) {
		c.completions.run(func(one completion) { c.call(ctx, one) })
	}
	if is(signalOpened) && c.state() == opening {
		c.open(ctx, true)
	}
	if is(signalSecured) {
		c.secured(ctx)
	}
	if is(signalWater|signalRefused) && c.cause.Load() == nil {
		c.tellRoom(ctx, is(signalRefused))
	}
	if is(signalDrain | signalAged | signalQuiet) {
		c.drain(ctx, bits)
	}
	if is(signalAborted) {
		c.flags.aborted = true
	}
	if is(signalWriterEnded) {
		c.writerEnded(ctx)
	}
	if is(signalPeerEnded) && c.state() == open && c.cause.Load() == nil && c.phase.Load()&securing == 0 {
		c.askForEnd(true)
	}
	if is(signalInputEnded) {
		c.inputEnded(ctx)
	}
	if is(signalResume) {
		c.resume(0)
	}
	c.expire(ctx, bits)
	c.advance(ctx)
}

// expire handles the signals of limits that have passed.
func (c *Connection) expire(ctx actor.Context, bits uint32) {
	is := func(bit uint32) bool { return bits&bit != 0 }
	switch {
	case is(signalReadFull):
		c.phase.And(^salvaging) // the remaining input is not read: nothing is left to wait for
		c.finish(ctx, protocol.ReasonReadBufferFull, protocol.ErrReadBufferFull)
	case is(signalIdle) && !c.arriving(): // if it is, the sweep was a moment too early
		c.finish(ctx, protocol.ReasonIdleTimeout, protocol.ErrIdleTimeout)
	case is(signalSilent) && !c.arriving():
		c.finish(ctx, protocol.ReasonReadTimeout, protocol.ErrReadTimeout)
	case is(signalHalf):
		c.finish(ctx, protocol.ReasonHalfCloseTimeout, protocol.ErrHalfCloseTimeout)
	case is(signalOverdue):
		c.finish(ctx, protocol.ReasonMaxAge, nil)
	case is(signalSlow):
		c.finish(ctx, protocol.ReasonSlowConsumer, c.causeErr())
	case is(signalShutdown):
		c.finish(ctx, protocol.ReasonShutdown, nil)
	case is(signalStall):
		c.kill(protocol.ReasonWriteTimeout, protocol.ErrWriteTimeout)
	case is(signalUnfinished) && c.state() == opening:
		c.unfinished(protocol.ErrHandshakeTimeout)
	case is(signalUnfinished) && c.phase.Load()&shakes != 0:
		c.failTLS(protocol.ErrHandshakeTimeout)
	case is(signalLate) && c.state() == flushing && c.salvaging():
		c.giveUpSalvage()
	case is(signalLate) && c.state() == flushing:
		c.cutOff(protocol.ErrCloseTimeout)
	case is(signalLate) && c.state() == closing:
		c.flags.inputEnded = true // flushed, and FIN sent: the kernel delivers that without us
	}
}

// finish ends the state open in an orderly way: accepted writes are flushed. The first cause wins,
// a second call changes nothing.
func (c *Connection) finish(ctx actor.Context, reason protocol.Reason, err error) {
	switch s := c.state(); {
	case s >= flushing:
		return
	case s == opening: // no handler has seen it, and a FIN would come in the middle of the handshake
		c.kill(reason, err)
		return
	}
	c.end(reason, err)
	c.setState(flushing)
	c.refuseWrites()
	if c.flags.inputEnded {
		c.writer.order(orderFlush) // nothing is left to discard, so the close itself sends the FIN
	} else {
		c.writer.order(orderFlush | orderFIN)
	}
	c.advance(ctx)
}

// cutOff ends a flush that takes too long. The cause stays what it was; the writes fail with err.
func (c *Connection) cutOff(err error) {
	c.blame(err)
	c.phase.And(^salvaging)
	c.flags.aborted = true
	c.conn().Abort()
	c.writer.order(orderGiveUp)
}

// writerEnded notes that the writer has written, or failed, everything that was accepted.
func (c *Connection) writerEnded(ctx actor.Context) {
	c.flags.writerEnded = true
	c.answerWaiting(ctx, func(r reply) bool { return r.untilFlushed })
	switch {
	case c.state() != open:
	case c.writer.err() == nil: // CloseWrite
		c.phase.Or(halfClosed)
	default:
		// Writing failed.
		c.leaveOpen(c.endedBy(protocol.ReasonPeerReset))
	}
}

// inputEnded notes that the peer's input is at its end, and that everything before it was shown.
func (c *Connection) inputEnded(ctx actor.Context) {
	if c.flags.inputKnown || c.state() != open {
		return
	}
	if c.flags.forced == due && c.inputErr() == nil && c.cause.Load() == nil {
		return // fetch comes back with it, once what is left was shown
	}
	c.flags.inputKnown = true
	switch {
	case c.inputErr() != nil:
		reason, err := c.classify("read", c.inputErr())
		c.kill(reason, err)
	case c.shared.options.KeepOpenOnPeerClosed && !c.flags.writerEnded && c.cause.Load() == nil:
		c.phase.Or(halfClosed | inputOver)
		c.deliver(ctx, &protocol.PeerClosed{Socket: c})
	default:
		c.finish(ctx, protocol.ReasonPeerClosed, nil)
	}
}

// advance moves the state forward as far as what has happened allows.
func (c *Connection) advance(ctx actor.Context) {
	if !c.flags.writerEnded {
		return
	}
	broken := c.writer.err() != nil
	switch c.state() {
	case opening:
		c.close(ctx)
	case open:
		// CloseWrite was asked for, and its FIN is sent; input goes on.
		switch {
		case c.flags.aborted:
			c.close(ctx) // the writer has ended already: it will not tell
		case c.flags.inputEnded && c.flags.inputKnown:
			c.finish(ctx, protocol.ReasonPeerClosed, nil)
		}
	case flushing:
		switch {
		case c.salvaging() && !c.flags.inputEnded && !c.flags.aborted:
			// Pull goes on, as far as the handler wants it, and comes back with the end of the
			// input.
		case broken || c.flags.inputEnded || c.flags.aborted:
			c.close(ctx)
		default:
			c.tellClosing(ctx) // before its permit is another's
			if c.state() == flushing {
				c.lingerOn()
			}
		}
	case closing:
		if c.flags.inputEnded || c.flags.aborted {
			c.close(ctx)
		}
	case closed:
	}
}

// lingerOn leaves flushing: the FIN is sent, and what the peer still sends is discarded until its
// own.
func (c *Connection) lingerOn() {
	c.dropInput()
	c.account()
	c.setState(closing)
	c.shared.noteClosing()
	if !c.noFIN() {
		c.linger()
	}
	c.mailbox.Schedule() // Pull discards now
}

// close releases the socket and delivers Closed. Then the writer's actor stops, and after it this
// one.
func (c *Connection) close(ctx actor.Context) {
	if c.state() == closed {
		return
	}
	c.tellClosing(ctx)
	if c.state() == closed {
		return // the handler has failed in that, and its failure closed the connection
	}
	c.ended()
	if c.isReset() {
		c.phase.Or(torn)
	}
	_ = c.conn().Close()
	c.dropInput()
	c.leaveBudget()
	c.answerWaiting(ctx, func(reply) bool { return true })
	// Deferred, because the user's last calls may end the goroutine (runtime.Goexit, and so
	// testing.T.FailNow).
	defer c.stopActors()
	event := c.closedEvent()
	defer c.publishClosed(*event)
	defer c.deliver(ctx, event)
	c.completions.run(func(one completion) { c.call(ctx, one) })
}

func (c *Connection) closedEvent() *protocol.Closed {
	why := c.cause.Load()
	return &protocol.Closed{Socket: c, Reason: why.reason, Err: why.err, Stats: c.stats()}
}

// stopActors stops the writer, and this actor after the writer's Terminated has come. If the writer
// has gone already, its Terminated is posted again: Proto.Actor checks what is left to wait for
// when one arrives, and the last check may have ended with the goroutine.
func (c *Connection) stopActors() {
	if c.flags.writerGone {
		c.mailbox.PostSystemMessage(&actor.Terminated{Who: c.writer.pid})
	} else {
		stop(&c.writer.mailbox)
	}
}

// stop does what ctx.Stop does, without looking the actor up.
func stop(mailbox *tcpactor.Mailbox) { mailbox.PostSystemMessage(stopMessage) }

var stopMessage = &actor.Stop{}

// terminated notes the end of an actor: the writer's, or one the handler watches.
func (c *Connection) terminated(ctx actor.Context, m *actor.Terminated) {
	if m.Who == nil {
		return // of no actor: Proto.Actor sends none
	}
	if !m.Who.Equal(c.writer.pid) {
		if c.flags.tenure == dismissed {
			c.childEnded(ctx)
		} else {
			c.deliver(ctx, m)
		}
		return
	}
	c.flags.writerGone = true
	if c.state() != closed { // stopped from outside, the writer first or both
		c.flags.writerEnded = true
		c.setCause(protocol.ReasonStopped, protocol.ErrStopped)
		c.close(ctx)
		return
	}
	stop(&c.mailbox)
}

// stopping handles Proto.Actor's Stopping: this actor stops. Either the connection stopped it after
// closed, or other code did at any time. A Stop does not wait for a peer, so queued writes are not
// flushed then. The writer becomes this actor's child for Proto.Actor too: the stop waits for the
// writer's end, and Closed comes after that.
func (c *Connection) stopping(ctx actor.Context) {
	if c.state() != closed {
		c.kill(protocol.ReasonStopped, protocol.ErrStopped)
	}
	if !c.flags.writerGone { // also where other code stops the actor between closed and the writer's end
		ctx.Spawn(tcpactor.Adopt(c.writer.pid))
	}
	returned := false
	defer c.goOnStopping(ctx, &returned)
	c.deliver(ctx, ctx.Message())
	returned = true
}

// goOnStopping does what Proto.Actor does after Stopping, where the handler ended the goroutine
// (runtime.Goexit): it stops the children, and has it look at what is left to wait for.
func (c *Connection) goOnStopping(ctx actor.Context, returned *bool) {
	if *returned {
		return
	}
	for _, child := range ctx.Children() {
		ctx.Stop(child)
	}
	if c.flags.writerGone {
		c.mailbox.PostSystemMessage(&actor.Terminated{Who: c.writer.pid})
	}
}

// stopped handles Stopped, Proto.Actor's last message. It comes again if the handler ended the
// goroutine (runtime.Goexit) the first time. Then no parent or watcher has been told yet that this
// actor has gone, and another check of what is left to wait for makes Proto.Actor tell them.
func (c *Connection) stopped(ctx actor.Context, message any) {
	if c.flags.left {
		return
	}
	c.flags.left = true
	returned := false
	defer func() {
		c.leave()
		if !returned {
			c.mailbox.PostSystemMessage(&actor.Terminated{Who: c.writer.pid})
		}
	}()
	c.deliver(ctx, message)
	returned = true
}

// leave runs last: nothing more is delivered here.
func (c *Connection) leave() {
	c.phase.Or(forgotten)
	c.mailbox.Close() // it answers the commands that are left, so the watchers come after it
	c.tellWatchers()
	c.endLinked()
	c.shared.remove(c)
}

// ended sets the last state. Writes that were dropped before are counted, and their completions
// due; nothing is dropped any more.
func (c *Connection) ended() {
	c.setState(closed)
	c.completions.await()
}

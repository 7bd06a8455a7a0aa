package connection

import (
	"errors"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// reply is the receiver of a command's outcome: a callback, a sender, or none.
type reply struct {
	done   func(error)
	sender *actor.PID
	ack    any
	token  any
	form   protocol.Form // of what the sender gets; nil: as it is

	untilFlushed bool // CloseWrite: the reply is for the FIN, not for the end
	orderly      bool // Close: the reply tells whether everything accepted went out
	becomes      bool // Become: the reply is for the new handler
	secures      bool // StartTLS: the reply is for the handshake
}

// errNoCommand completes a Do that was given no command.
var errNoCommand = errors.New("berth: no command to carry out")

// isCommand reports whether command is one: it is not nil, no nil pointer, and not of a type of the
// sender's own that embeds a Command.
func isCommand(command protocol.Command) bool {
	switch m := command.(type) {
	case *protocol.Write:
		return m != nil
	case *protocol.Pause:
		return m != nil
	case *protocol.Resume:
		return m != nil
	case *protocol.Close:
		return m != nil
	case *protocol.CloseWrite:
		return m != nil
	case *protocol.Abort:
		return m != nil
	case *protocol.Detach:
		return m != nil
	case *protocol.Link:
		return m != nil
	case *protocol.Unlink:
		return m != nil
	case *protocol.Become:
		return m != nil
	case *protocol.StartTLS:
		return m != nil
	}
	return false
}

// replyTo returns the reply that a command from sender asks for.
func replyTo(sender *actor.PID, command protocol.Command) reply {
	if !isCommand(command) {
		return reply{sender: sender}
	}
	r := reply{sender: sender, ack: ackOf(command)}
	if m, ok := command.(*protocol.Write); ok {
		r.token = m.Token
	}
	return r
}

// ackOf returns the Ack of a command that came by PID.
func ackOf(command protocol.Command) any {
	switch m := command.(type) {
	case *protocol.Write:
		return m.Ack
	case *protocol.Pause:
		return m.Ack
	case *protocol.Resume:
		return m.Ack
	case *protocol.Close:
		return m.Ack
	case *protocol.CloseWrite:
		return m.Ack
	case *protocol.Abort:
		return m.Ack
	case *protocol.Detach:
		return m.Ack
	case *protocol.Link:
		return m.Ack
	case *protocol.Unlink:
		return m.Ack
	case *protocol.Become:
		return m.Ack
	case *protocol.StartTLS:
		return m.Ack
	}
	return nil
}

// obey carries out a command on the connection's turn.
func (c *Connection) obey(ctx actor.Context, command protocol.Command, r reply) {
	switch {
	case c.state() == closed:
		c.refuse(command, r)
		return
	case !isCommand(command):
		if r.done != nil {
			c.call(ctx, completion{r.done, errNoCommand})
		} else {
			c.noCommand(command, r)
		}
		return
	}
	switch m := command.(type) {
	case *protocol.Write:
		c.accept(ctx, m.Data, r)
	case *protocol.Pause:
		c.paused.Store(true)
		c.answer(ctx, r, nil)
	case *protocol.Resume:
		c.resume(m.Credit)
		c.answer(ctx, r, nil)
	case *protocol.Close:
		r.orderly = true
		c.wait(r)
		c.wantNoInput()
		c.finish(ctx, protocol.ReasonLocalClosed, nil)
	case *protocol.CloseWrite:
		if c.flags.writerEnded {
			c.answer(ctx, r, c.writer.err())
			return
		}
		r.untilFlushed = true
		c.wait(r)
		c.refuseWrites()
		c.writer.order(orderFlush | orderFIN)
	case *protocol.Abort:
		c.wait(r)
		c.kill(protocol.ReasonLocalAborted, protocol.ErrAborted)
	case *protocol.Detach:
		c.Detach()
		c.answer(ctx, r, nil)
	case *protocol.Link:
		c.link(ctx, m.PID)
		c.answer(ctx, r, nil)
	case *protocol.Unlink:
		c.unlink(m.PID)
		c.answer(ctx, r, nil)
	case *protocol.Become:
		c.become(ctx, m.Handler, r)
	case *protocol.StartTLS:
		if config, err := c.raiseBarrier(m.Config); err != nil {
			c.answer(ctx, r, err)
		} else {
			c.startTLS(ctx, &tlsOrder{config: config, reply: r})
		}
	}
}

// accept queues a Write that came by mail. It takes the Write's credit, or refuses the Write.
func (c *Connection) accept(ctx actor.Context, data []byte, r reply) {
	crossed, err := c.acquire(c.slow(), len(data), len(data))
	if err != nil {
		c.unacceptedMail(ctx, data, r, err)
		return
	}
	e := newEntry()
	e.data, e.memory, e.done = data, len(data), r.done
	if r.sender != nil {
		e.makeRest().reply = r
	}
	c.post(e, crossed)
}

// unacceptedMail ends a Write that came by mail and that err kept out of the queue.
func (c *Connection) unacceptedMail(ctx actor.Context, data []byte, r reply, err error) {
	switch {
	case c.overflow(c.slow(), err):
		c.drop(len(data), r.done)
		if r.sender != nil && (r.ack != nil || r.token != nil) {
			answerWrite(c.system(), &r, protocol.ErrDropped)
		}
	case r.done != nil:
		c.call(ctx, completion{r.done, c.refusal(len(data), err)})
	default:
		c.refuseWrite(&protocol.Write{Data: data, Ack: r.ack, Token: r.token}, r, c.refusal(len(data), err))
		if r.sender != nil && (lacksRoom(err) || errors.Is(err, protocol.ErrMemoryBudget)) {
			c.makeRare().room.refused.add(c.system().ProcessRegistry, r.sender, r.form)
			c.signals.Or(signalRefused) // the release may have come already
		}
	}
}

func (c *Connection) wait(r reply) {
	if r.done != nil || r.sender != nil && r.ack != nil {
		rare := c.makeRare()
		rare.waiting = append(rare.waiting, r)
	}
}

// answerWaiting answers the replies that are due. Callbacks are completions like any other, so
// that one of them that panics, ends the goroutine or asks again disturbs no other.
func (c *Connection) answerWaiting(ctx actor.Context, due func(reply) bool) {
	rare := c.rare.Load()
	if rare == nil {
		return
	}
	left := rare.waiting[:0]
	for _, r := range rare.waiting {
		switch {
		case !due(r):
			left = append(left, r)
		case r.done != nil:
			c.completions.add(r.done, c.outcome(r))
			c.signals.Or(signalCompletions)
		default:
			c.answer(ctx, r, c.outcome(r))
		}
	}
	clear(rare.waiting[len(left):])
	rare.waiting = left
}

// outcome returns the result of a command that ends something: for Close and CloseWrite the error
// if accepted writes could not be flushed.
func (c *Connection) outcome(r reply) error {
	switch {
	case r.untilFlushed:
		return c.writer.err()
	case r.becomes && !c.rare.Load().became:
		return c.closedErr()
	case r.secures && c.phase.Load()&securing != 0:
		return c.causeErr()
	}
	if r.orderly && c.lost() > 0 {
		return c.causeErr()
	}
	return nil
}

func (c *Connection) answer(ctx actor.Context, r reply, err error) {
	switch {
	case r.done != nil:
		c.call(ctx, completion{r.done, err})
	case r.sender != nil && r.ack != nil:
		send(c.system(), r.sender, r.form, &protocol.Done{Ack: r.ack, Err: err})
	}
}

// answerWrite tells the sender of a Write how it went.
func answerWrite(system *actor.ActorSystem, r *reply, err error) {
	switch {
	case err != nil:
		send(system, r.sender, r.form, &protocol.WriteFailed{Ack: r.ack, Token: r.token, Err: err})
	case r.ack != nil:
		send(system, r.sender, r.form, &protocol.Written{Ack: r.ack})
	}
}

// send sends an answer in the form in which the sender's message came.
func send(system *actor.ActorSystem, sender *actor.PID, form protocol.Form, answer any) {
	if form != nil {
		answer = form.Answer(answer)
	}
	system.Root.Send(sender, answer)
}

// translate obeys a command that came in a form for other nodes. A GetInfo is answered in every
// state, as the one of this node.
func (c *Connection) translate(ctx actor.Context, foreign protocol.Foreign) {
	switch m, form := foreign.Native(); m := m.(type) {
	case protocol.Command:
		r := replyTo(ctx.Sender(), m)
		r.form = form
		c.obey(ctx, m, r)
	case *protocol.GetInfo:
		info := c.Info()
		ctx.Respond(form.Answer(&info))
	default:
		c.noCommand(foreign, reply{sender: ctx.Sender()})
	}
}

// noCommand makes mail that is no command a dead letter: it has no Ack that an answer could repeat.
func (c *Connection) noCommand(command any, r reply) {
	c.system().DeadLetter.SendUserMessage(c.pid, &actor.MessageEnvelope{Message: command, Sender: r.sender})
}

// refuse answers a command that came after the end.
func (c *Connection) refuse(command protocol.Command, r reply) {
	if !isCommand(command) {
		if r.done != nil {
			c.answerLater(r, errNoCommand)
		} else {
			c.noCommand(command, r)
		}
		return
	}
	switch m := command.(type) {
	case *protocol.Write:
		if r.done == nil {
			c.refuseWrite(m, r, c.closedErr())
			return
		}
	case *protocol.Close, *protocol.Abort, *protocol.Detach:
		// Already satisfied.
		c.answerLater(r, nil)
		return
	case *protocol.Link:
		if m.PID != nil {
			c.endOther(linked{m.PID, connectionOf(c.system(), m.PID)})
		}
	}
	c.answerLater(r, c.closedErr())
}

// refuseWrite answers a Write that is not accepted: to its sender, or as a dead letter. No Write is
// lost silently.
func (c *Connection) refuseWrite(m *protocol.Write, r reply, err error) {
	if r.sender == nil {
		c.system().DeadLetter.SendUserMessage(c.pid, m)
		return
	}
	answerWrite(c.system(), &r, err)
}

// answerLater answers outside the connection's turn, which will not come again; a callback runs on
// a goroutine of its own, never inside the call that queued it.
func (c *Connection) answerLater(r reply, err error) {
	switch {
	case r.done != nil:
		c.shared.later(func() { c.callLate(r.done, err) })
	case r.sender != nil && r.ack != nil:
		send(c.system(), r.sender, r.form, &protocol.Done{Ack: r.ack, Err: err})
	}
}

// CallApart runs a callback on a goroutine of the listener's, outside the connection's turns. A
// panic in it is published as HandlerFailed, and ends nothing. Any goroutine may call it.
func (c *Connection) CallApart(callback func()) {
	c.shared.later(func() { c.callLate(func(error) { callback() }, nil) })
}

// callLate runs a callback outside a guarded turn. A panic in it is published as HandlerFailed: no
// connection is left for it to end.
func (c *Connection) callLate(done func(error), err error) {
	c.shared.call(func() {
		defer func() {
			if value := recover(); value != nil {
				c.publishHandlerFailed(protocol.ReasonHandlerPanic, &protocol.PanicError{Value: value, Stack: debug.Stack()}, false)
			}
		}()
		done(err)
	})
}

// Drop implements tcpactor.Source: a message for a connection that has ended, or has not begun.
func (c *Connection) Drop(message any) {
	_, bare, sender := actor.UnwrapEnvelope(message)
	switch m := bare.(type) {
	case *order:
		c.refuse(m.command, reply{done: m.done})
	case *tlsOrder:
		c.refuseTLS(m)
	case protocol.Command:
		c.refuse(m, replyTo(sender, m))
	case protocol.Foreign:
		native, form := m.Native()
		command, ok := native.(protocol.Command)
		if !ok {
			c.system().DeadLetter.SendUserMessage(c.pid, message)
			return
		}
		r := replyTo(sender, command)
		r.form = form
		c.refuse(command, r)
	case *attend, *protocol.Data, *linkDown, *linkEnded:
	default:
		c.system().DeadLetter.SendUserMessage(c.pid, message)
	}
}

package listener

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// supervisor is the actor at the top of a listener, the one that the user's own tree sees:
//
//	supervisor ─┬─ acceptor      accepts; there may be several
//	            └─ connections ─── connection ─── writer, for every socket
//
// State that must survive a restart of it is in the server. A child that ends, by a failure or by a
// stop, is made anew; see supervision.go.
type supervisor struct {
	server   *server
	children *actor.PID // connections
	seats    []seat     // of the acceptors
	ending   bool       // its children are to end, by a stop or a restart of this actor
}

// Receive implements actor.Actor.
func (s *supervisor) Receive(ctx actor.Context) {
	if isNil(ctx.Message()) {
		return // a mistake of its sender; there is nothing to answer
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start(ctx)
	case *actor.Terminated:
		s.restore(ctx, m.Who)
	case *comeBack:
		if m.supervisor == s && !s.ending && m.acceptor < len(s.seats) && s.seats[m.acceptor].pid == nil {
			s.seatAcceptor(ctx, m.acceptor)
		}
	case *reseat:
		if !s.ending {
			s.seatAll(ctx)
		}
	case *protocol.SuspendAccepting:
		s.answer(ctx, m.Ack, s.server.suspendAs(m.Refuse))
	case *protocol.ResumeAccepting:
		s.answer(ctx, m.Ack, s.server.resumeGuarded())
	case *protocol.GetInfo:
		info := s.server.info()
		ctx.Respond(&info)
	case *Connect:
		s.server.connect(ctx, m)
	case *protocol.Shutdown:
		s.server.begins(toDrain)
		s.server.stopBy(m.Deadline)
		ctx.Stop(ctx.Self())
	case *actor.Restarting:
		s.end()
	case *actor.Stopping:
		s.end()
		if s.server.owner != nil {
			ctx.Unwatch(s.server.owner) // it may live much longer
		}
		// The drain is the same whether a handle, a message or the parent stops this actor. It
		// blocks here, because Proto.Actor takes the return for the end. The connections end on
		// turns of their own.
		s.server.begins(toDrain)
		s.server.drain()
	case *actor.Stopped:
		s.server.mail.end(ctx.Self())
		close(s.server.stopped)
	}
}

// isNil reports whether message is a command that is a nil pointer.
func isNil(message any) bool {
	switch m := message.(type) {
	case *protocol.SuspendAccepting:
		return m == nil
	case *protocol.ResumeAccepting:
		return m == nil
	case *protocol.Shutdown:
		return m == nil
	case *Connect:
		return m == nil
	}
	return false
}

// answer tells the sender the result of a command. A failure that no sender waits for becomes an
// event.
func (s *supervisor) answer(ctx actor.Context, ack any, err error) {
	switch {
	case ack != nil && ctx.Sender() != nil:
		ctx.Respond(&protocol.Done{Ack: ack, Err: err})
	case err != nil && !errors.Is(err, ErrClosed): // the end is announced anyway
		s.server.acceptFailed(err, 0)
	}
}

// start is the first Started or one after a restart: connections, then the acceptors.
func (s *supervisor) start(ctx actor.Context) {
	s.children = s.server.startConnections(ctx)
	s.server.begin(s.children)
	s.seats = nil
	s.seatAll(ctx)
	if s.server.owner != nil {
		ctx.Watch(s.server.owner)
	}
}

// end stops making children anew.
func (s *supervisor) end() {
	s.ending = true
	for _, p := range s.server.posts {
		p.back.stop()
	}
}

// mail is the supervisor's mailbox, and its own source: it has nothing to pull, and answers
// commands that come after the end.
type mail struct {
	tcpactor.Mailbox
	server *server
	self   *actor.PID // from the end on
}

func (l *mail) end(self *actor.PID) {
	l.self = self
	l.Close()
}

// Pull implements tcpactor.Source.
func (*mail) Pull() any { return nil }

// Drop implements tcpactor.Source.
func (l *mail) Drop(message any) {
	var ack any
	_, bare, sender := actor.UnwrapEnvelope(message)
	if !isNil(bare) {
		switch m := bare.(type) {
		case *protocol.SuspendAccepting:
			ack = m.Ack
		case *protocol.ResumeAccepting:
			ack = m.Ack
		case *Connect:
			l.server.answerConnect(l.self, sender, m, nil, ErrClosed)
			return
		}
	}
	if ack == nil || sender == nil {
		l.server.system.DeadLetter.SendUserMessage(l.self, message)
		return
	}
	l.server.system.Root.Send(sender, &protocol.Done{Ack: ack, Err: ErrClosed})
}

// newMailbox returns the mailbox of an acceptor that has nothing to pull. Proto.Actor's own one
// cannot be sent nil: it takes that for the end of its mail, and never gets to what comes behind
// it.
func newMailbox() actor.Mailbox {
	m := new(tcpactor.Mailbox)
	m.Init(mailOnly{})
	return m
}

// mailOnly is the source of such a mailbox, which is never closed.
type mailOnly struct{}

// Pull implements tcpactor.Source.
func (mailOnly) Pull() any { return nil }

// Drop implements tcpactor.Source.
func (mailOnly) Drop(any) {}

// connections is the parent of all connections. They are not in its child set: that would keep 860
// bytes of each one for ever. The server's own list is used at their end. Their failures come here
// and stop them, one by one.
type connections struct {
	server  *server
	mailbox tcpactor.Mailbox
}

// Pull implements tcpactor.Source.
func (c *connections) Pull() any { return nil }

// Drop implements tcpactor.Source; its mailbox is never closed.
func (c *connections) Drop(any) {}

// Receive implements actor.Actor.
func (c *connections) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Terminated:
		c.server.left()
	case *actor.Stopping:
		c.server.orphaned()
	}
}

// stopFailing stops a failed child and leaves its siblings alone.
var stopFailing = actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective })

package listener

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// This file handles the supervisor's children that end.

// The supervisor itself decides about a child that failed.
var _ actor.SupervisorStrategy = (*supervisor)(nil)

// seat is the place of one acceptor in the tree.
type seat struct {
	pid    *actor.PID    // nil while it waits to be made anew
	failed bool          // it is being stopped for a failure
	wait   time.Duration // then, how long until it is made anew
}

// post is the state of a seat that survives the acceptors in it.
type post struct {
	restarts restarts
	back     delay // until the next one is made
}

// reseat tells the supervisor that the number of acceptors has changed.
type reseat struct{}

// comeBack is the supervisor's message to itself that an acceptor has waited long enough.
type comeBack struct {
	supervisor *supervisor // the incarnation that waited
	acceptor   int
}

var errAcceptorStopped = errors.New("berth: acceptor was stopped from outside")

// HandleFailure implements actor.SupervisorStrategy. A failed acceptor is stopped, and made anew
// after a while: all its state lies outside of it. After too many failures the listener's parent
// decides. If it resumes the listener, the acceptor comes back as ever.
func (s *supervisor) HandleFailure(_ *actor.ActorSystem, self actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	if child.Equal(s.children) { // which has no state to lose
		s.server.publish(&actor.SupervisorEvent{Child: child, Reason: reason, Directive: actor.RestartDirective})
		self.RestartChildren(child)
		return
	}
	self.StopChildren(child)
	number := s.number(child)
	if number < 0 {
		return // an acceptor beyond their number
	}
	if s.ending || s.seats[number].failed {
		return
	}
	count := s.await(number, asError(reason))
	s.seats[number].failed = true
	if count > mostRestarts {
		s.server.posts[number].restarts.forgive()
		self.EscalateFailure(reason, message)
	}
}

// restore makes a child anew that has ended. If the owner has ended, the listener ends.
func (s *supervisor) restore(ctx actor.Context, who *actor.PID) {
	if s.ending {
		return
	}
	if who.Equal(s.server.owner) {
		ctx.Stop(ctx.Self())
		return
	}
	if who.Equal(s.children) {
		s.children = s.server.startConnections(ctx)
		return
	}
	number := s.number(who)
	if number < 0 {
		return
	}
	if !s.seats[number].failed {
		s.await(number, errAcceptorStopped)
	}
	again, self := &comeBack{s, number}, ctx.Self()
	wait := s.seats[number].wait
	s.seats[number] = seat{}
	s.server.posts[number].back.start(wait, func() { s.server.system.Root.Send(self, again) })
}

// await decides how long an acceptor waits, and publishes it.
func (s *supervisor) await(number int, err error) (count int) {
	count, s.seats[number].wait = s.server.posts[number].restarts.next(time.Now())
	s.server.publish(&AcceptorFailed{
		Addr: s.server.addr, Err: err, Restarts: count, Wait: s.seats[number].wait,
		Escalated: count > mostRestarts && err != errAcceptorStopped, //nolint:errorlint // it is never wrapped
	})
	return count
}

// seatAll makes the acceptors that are missing, and stops those that are too many.
func (s *supervisor) seatAll(ctx actor.Context) {
	if len(s.server.slots) == 0 {
		return // a dialer
	}
	number := s.server.options().Acceptors
	switch err := s.server.resize(number); {
	case errors.Is(err, ErrClosed):
		return
	case err != nil: // those that there are go on
		s.server.acceptFailed(err, 0)
		number = min(number, len(s.seats))
	}
	for len(s.server.posts) < number {
		s.server.posts = append(s.server.posts, &post{})
	}
	for len(s.seats) < number {
		s.seats = append(s.seats, seat{})
		s.seatAcceptor(ctx, len(s.seats)-1)
	}
	for _, surplus := range s.seats[number:] {
		if surplus.pid != nil {
			ctx.Stop(surplus.pid)
		}
	}
	for _, p := range s.server.posts[number:] {
		p.back.stop()
	}
	s.seats, s.server.posts = s.seats[:number], s.server.posts[:number]
}

// seatAcceptor spawns an acceptor.
func (s *supervisor) seatAcceptor(ctx actor.Context, number int) {
	s.seats[number] = seat{pid: ctx.SpawnPrefix(s.server.intake.acceptor(number), "acceptor")}
}

// number returns the acceptor's number, -1 if it is no acceptor.
func (s *supervisor) number(child *actor.PID) int {
	for i, seat := range s.seats {
		if seat.pid != nil && child.Equal(seat.pid) {
			return i
		}
	}
	return -1
}

// asError returns the reason of a failure as an error.
func asError(reason any) error {
	err, ok := reason.(error)
	switch {
	case !ok:
		return panicked(reason, nil)
	case errors.Is(err, protocol.ErrGoexit): // as the mailbox says it, of a handler
		return errGoexit
	}
	return err
}

package listener

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// This file is what becomes of the supervisor's children that end.

// The supervisor decides itself about a child that failed.
var _ actor.SupervisorStrategy = (*supervisor)(nil)

// seat is where one acceptor is in the tree.
type seat struct {
	pid    *actor.PID    // nil while it waits to be made anew
	failed bool          // it is being stopped for a failure
	wait   time.Duration // then, how long until it is made anew
}

// comeBack is the supervisor's mail to itself: an acceptor has waited long enough.
type comeBack struct {
	supervisor *supervisor // the incarnation that waited
	acceptor   int
}

var errAcceptorStopped = errors.New("berth: acceptor was stopped from outside")

// HandleFailure implements actor.SupervisorStrategy. A failed acceptor is stopped, and made anew after a while: all that it knew lies
// outside of it. After too many failures the owner is asked; if it says Resume, the acceptor comes back as ever.
func (s *supervisor) HandleFailure(system *actor.ActorSystem, self actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	number := s.number(child)
	if number < 0 { // connections, which has nothing to lose
		system.EventStream.Publish(&actor.SupervisorEvent{Child: child, Reason: reason, Directive: actor.RestartDirective})
		self.RestartChildren(child)
		return
	}
	self.StopChildren(child)
	if s.ending || s.seats[number].failed {
		return
	}
	count := s.await(number, asError(reason))
	s.seats[number].failed = true
	if count > mostRestarts {
		s.server.restarts[number].forgive()
		self.EscalateFailure(reason, message)
	}
}

// restore makes a child again that has ended. The owner's end is ours.
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
	s.server.returns[number].start(wait, func() { s.server.system.Root.Send(self, again) })
}

// await decides how long an acceptor waits, and tells everybody.
func (s *supervisor) await(number int, err error) (count int) {
	count, s.seats[number].wait = s.server.restarts[number].next(time.Now())
	s.server.publish(&AcceptorFailed{
		Addr: s.server.addr, Err: err, Restarts: count, Wait: s.seats[number].wait,
		Escalated: count > mostRestarts && err != errAcceptorStopped, //nolint:errorlint // it is never wrapped
	})
	return count
}

// seatAcceptor spawns an acceptor.
func (s *supervisor) seatAcceptor(ctx actor.Context, number int) {
	s.seats[number] = seat{pid: ctx.SpawnPrefix(s.server.intake.acceptor(number), "acceptor")}
}

// number returns which acceptor it is, -1 if it is none.
func (s *supervisor) number(child *actor.PID) int {
	for i, seat := range s.seats {
		if seat.pid != nil && child.Equal(seat.pid) {
			return i
		}
	}
	return -1
}

// asError gives the reason of a failure the form of an error.
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

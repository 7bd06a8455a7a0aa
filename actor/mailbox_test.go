package tcpactor_test

import (
	"errors"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// newMailbox returns a mailbox that runs its turns by hand, and writes what it does into the
// journal.
func newMailbox(throughput int) (*tcpactor.Mailbox, *script, *byHand, *[]any) {
	journal := new([]any)
	write := func(message any) { *journal = append(*journal, message) }
	s := &script{user: write, system: write}
	d := &byHand{throughput: throughput}
	m := new(tcpactor.Mailbox)
	m.Init(s)
	m.RegisterHandlers(s, d)
	m.Start()
	return m, s, d, journal
}

func TestMailIsInvokedInTheOrderOfPosting(t *testing.T) {
	m, _, d, journal := newMailbox(1000)
	var want []any
	for i := range 100 {
		m.PostUserMessage(i)
		want = append(want, i)
	}
	assert.Equal(t, 100, m.UserMessageCount())
	assert.Equal(t, 1, d.waiting(), "a hundred messages need one turn")
	d.all()
	assert.Equal(t, want, *journal)
	assert.Zero(t, m.UserMessageCount())
}

// Proto.Actor enters an actor in its registry before it gives the mailbox its dispatcher.
func TestWhatComesBeforeTheStartWaitsForIt(t *testing.T) {
	var journal []any
	write := func(message any) { journal = append(journal, message) }
	s := &script{user: write, system: write}
	m := new(tcpactor.Mailbox)
	m.Init(s)
	m.PostUserMessage("mail")
	m.PostSystemMessage("stop")
	m.Run()
	d := &byHand{throughput: 1000}
	m.RegisterHandlers(s, d)
	m.PostSystemMessage("started")
	assert.Zero(t, d.waiting())
	m.Start()
	assert.Equal(t, 1, d.waiting())
	d.all()
	assert.Equal(t, []any{"stop", "started", "mail"}, journal)
}

func TestSystemMessagesOvertakeMail(t *testing.T) {
	m, _, d, journal := newMailbox(1000)
	m.PostUserMessage("mail")
	m.PostSystemMessage("system 1")
	m.PostSystemMessage("system 2")
	d.all()
	assert.Equal(t, []any{"system 1", "system 2", "mail"}, *journal)
}

func TestASystemMessageThatComesDuringATurnGoesBeforeTheRestOfTheMail(t *testing.T) {
	m, s, d, journal := newMailbox(1000)
	write := s.user
	s.user = func(message any) {
		write(message)
		if message == 1 {
			m.PostSystemMessage("system")
		}
	}
	m.PostUserMessage(1)
	m.PostUserMessage(2)
	d.all()
	assert.Equal(t, []any{1, "system", 2}, *journal)
}

func TestTheSourceIsPulledOnlyWhenNoMailIsLeft(t *testing.T) {
	m, s, d, journal := newMailbox(1000)
	left := 3
	s.pull = func() any {
		assert.Zero(t, m.UserMessageCount(), "pulled before mail")
		if left == 0 {
			return nil
		}
		left--
		m.PostUserMessage("mail that came during the pull")
		return "pulled"
	}
	m.PostUserMessage("mail")
	d.all()
	once := []any{"pulled", "mail that came during the pull"}
	assert.Equal(t, append(append(append([]any{"mail"}, once...), once...), once...), *journal)
}

func TestATurnGivesTheDispatcherBackAfterThroughputMessages(t *testing.T) {
	m, s, d, journal := newMailbox(3)
	for i := range 7 {
		m.PostUserMessage(i)
	}
	for _, done := range []int{3, 6, 7} {
		require.True(t, d.turn())
		assert.Len(t, *journal, done)
	}
	assert.False(t, d.turn(), "nothing is left to do")

	s.pull = func() any { return "more" }
	m.Schedule()
	require.True(t, d.turn())
	assert.Len(t, *journal, 10, "a source that never runs dry yields as well")
	assert.Equal(t, 1, d.waiting(), "and gets another turn")
}

func TestOneTurnIsScheduledHoweverOftenTheMailboxIsStirred(t *testing.T) {
	m, _, d, _ := newMailbox(1)
	for range 3 {
		m.Schedule()
		m.PostUserMessage("mail")
		m.PostSystemMessage("system")
		assert.Equal(t, 1, d.waiting())
	}
	for d.turn() {
		assert.LessOrEqual(t, d.waiting(), 1)
	}
}

func TestRunTakesATurnOnTheSpotUnlessOneIsScheduled(t *testing.T) {
	m, s, d, journal := newMailbox(1000)
	pulls := 0
	s.pull = func() any { pulls++; return nil }
	m.Run()
	assert.Equal(t, 1, pulls)
	assert.Zero(t, d.waiting())

	m.PostUserMessage("mail")
	m.Run()
	assert.Empty(t, *journal, "the scheduled turn is the only one")
	d.all()
	assert.Equal(t, []any{"mail"}, *journal)
}

func TestRunDuringATurnMakesThatTurnLookAgain(t *testing.T) {
	m, s, _, _ := newMailbox(1000)
	pulls := 0
	s.pull = func() any {
		if pulls++; pulls == 1 {
			m.Run()
		}
		return nil
	}
	m.Run()
	assert.Equal(t, 2, pulls)
}

func TestRunNowTakesAScheduledTurnOver(t *testing.T) {
	m, _, d, journal := newMailbox(1000)
	m.PostUserMessage(1)
	assert.True(t, m.RunNow())
	assert.Equal(t, []any{1}, *journal, "on the spot")
	assert.Equal(t, 1, d.waiting(), "the dispatcher still has the turn")
	m.PostUserMessage(2)
	assert.Equal(t, 2, d.waiting())
	d.turn()
	assert.Equal(t, []any{1, 2}, *journal, "any turn does what is due")
	d.all()
	assert.Equal(t, []any{1, 2}, *journal, "and leaves nothing to the next")
}

func TestRunNowGoesOnWhereTheThroughputEnds(t *testing.T) {
	m, _, d, journal := newMailbox(1)
	m.PostUserMessage(1)
	m.PostUserMessage(2)
	assert.True(t, m.RunNow())
	assert.Equal(t, []any{1}, *journal)
	assert.True(t, m.RunNow())
	d.all()
	assert.Equal(t, []any{1, 2}, *journal)
}

func TestRunNowLeavesATurnUnderWayAlone(t *testing.T) {
	m, s, d, journal := newMailbox(1000)
	write := s.user
	s.user = func(message any) {
		write(message)
		m.PostUserMessage("mail")
		if len(*journal) == 1 {
			assert.False(t, m.RunNow(), "the turn would run inside itself")
		}
		s.user = write
	}
	m.PostUserMessage(1)
	d.all()
	assert.Equal(t, []any{1, "mail"}, *journal)
}

// The turn may have looked already for what the caller of RunNow has for it, and be about to end.
func TestRunNowDuringATurnMakesThatTurnLookAgain(t *testing.T) {
	m, s, _, _ := newMailbox(1000)
	pulls := 0
	s.pull = func() any {
		if pulls++; pulls == 1 {
			assert.False(t, m.RunNow())
		}
		return nil
	}
	m.Run()
	assert.Equal(t, 2, pulls)
}

func TestRunNowWaitsForTheStart(t *testing.T) {
	s := &script{}
	m := new(tcpactor.Mailbox)
	m.Init(s)
	m.PostUserMessage(1)
	assert.False(t, m.RunNow())
}

func TestTakeRemovesTheOldestMail(t *testing.T) {
	m, _, d, journal := newMailbox(1000)
	_, ok := m.Take()
	assert.False(t, ok)
	m.PostUserMessage(1)
	m.PostUserMessage(2)
	first, ok := m.Take()
	assert.True(t, ok)
	assert.Equal(t, 1, first)
	d.all()
	assert.Equal(t, []any{2}, *journal)
}

func TestAPanicIsEscalatedAndTheRestGoesOnInATurnOfItsOwn(t *testing.T) {
	m, s, d, journal := newMailbox(1000)
	cause := errors.New("cause")
	write := s.user
	s.user = func(message any) {
		write(message)
		if message == 2 {
			panic(cause)
		}
	}
	var reason, lost any
	s.failed = func(r, message any) { reason, lost = r, message }
	for i := 1; i <= 3; i++ {
		m.PostUserMessage(i)
	}
	require.True(t, d.turn())
	assert.Equal(t, []any{1, 2}, *journal)
	assert.Equal(t, cause, reason)
	assert.Equal(t, 2, lost)
	require.Equal(t, 1, d.waiting())
	d.all()
	assert.Equal(t, []any{1, 2, 3}, *journal)
}

func TestGoexitIsEscalatedAndTheRestGoesOn(t *testing.T) {
	m, s, d, journal := newMailbox(1000)
	write := s.user
	s.user = func(message any) {
		write(message)
		if message == 1 {
			exit()
		}
	}
	var reason any
	s.failed = func(r, _ any) { reason = r }
	m.PostUserMessage(1)
	m.PostUserMessage(2)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		d.turn()
	}()
	receive(t, gone)
	assert.Equal(t, protocol.ErrGoexit, reason)
	d.all()
	assert.Equal(t, []any{1, 2}, *journal)
}

func TestASuspendedMailboxKeepsItsMailUntilItIsResumed(t *testing.T) {
	m, s, d, journal := newMailbox(1000)
	pulls := 0
	s.pull = func() any { pulls++; return nil }
	m.PostSystemMessage(&actor.SuspendMailbox{})
	m.PostUserMessage("mail")
	m.PostSystemMessage("system")
	d.all()
	assert.Equal(t, []any{"system"}, *journal)
	assert.Zero(t, pulls)
	m.PostUserMessage("more mail")
	d.all()
	assert.Equal(t, []any{"system"}, *journal)
	m.PostSystemMessage(&actor.ResumeMailbox{})
	d.all()
	assert.Equal(t, []any{"system", "mail", "more mail"}, *journal)
	assert.Equal(t, 1, pulls)
}

func TestAStopEndsASuspension(t *testing.T) {
	m, _, d, journal := newMailbox(1000)
	m.PostSystemMessage(&actor.SuspendMailbox{})
	m.PostUserMessage(1)
	m.PostSystemMessage(&actor.Stop{})
	d.all()
	assert.Equal(t, []any{&actor.Stop{}, 1}, *journal)
}

func TestARestartOfAMortalActorBecomesAStop(t *testing.T) {
	var journal []any
	s, d := &script{system: func(message any) { journal = append(journal, message) }}, &byHand{throughput: 1000}
	m := new(tcpactor.Mailbox)
	m.InitMortal(s)
	m.RegisterHandlers(s, d)
	m.Start()
	m.PostSystemMessage(&actor.Restart{})
	d.all()
	require.Len(t, journal, 1)
	assert.IsType(t, &actor.Stop{}, journal[0])
}

func TestCloseDropsWhatIsLeftAndWhatComesLaterButSystemMessagesAreTaken(t *testing.T) {
	m, s, d, journal := newMailbox(1000)
	var dropped []any
	s.dropped = func(message any) { dropped = append(dropped, message) }
	m.PostUserMessage(1)
	m.PostUserMessage(2)
	m.Close()
	assert.Equal(t, []any{1, 2}, dropped)
	m.PostUserMessage(3)
	assert.Equal(t, []any{1, 2, 3}, dropped)
	m.PostSystemMessage("watch")
	d.all()
	assert.Equal(t, []any{"watch"}, *journal)
	m.Close()
	assert.Equal(t, []any{1, 2, 3}, dropped)
}

func TestPostingAndHandlingMakeNoAllocation(t *testing.T) {
	m, s, d, _ := newMailbox(1000)
	handled := 0
	s.user = func(any) { handled++ }
	message := new(int)
	allocations := testing.AllocsPerRun(1000, func() {
		m.PostUserMessage(message)
		m.PostUserMessage(message)
		d.all()
	})
	assert.Zero(t, allocations)
	assert.Equal(t, 2*1001, handled)
}

// taker is a script that takes failures.
type taker struct {
	script
	take func(message, reason any) bool
}

// fullContext is the invoker that a mailbox has in an actor: a context, too.
type fullContext struct {
	actor.Context
	*taker
}

func (s *taker) Failed(_ actor.Context, message, reason any) bool { return s.take(message, reason) }

func TestAFailureIsOfferedToTheSourceBeforeTheSupervisorGetsIt(t *testing.T) {
	for name, take := range map[string]func() bool{
		"taken":      func() bool { return true },
		"not taken":  func() bool { return false },
		"by a panic": func() bool { panic("again") },
	} {
		t.Run(name, func(t *testing.T) {
			for _, fail := range []func(){func() { panic("broken") }, exit} {
				var offered, escalated, got []any
				s := &taker{}
				s.take = func(message, reason any) bool { offered = append(offered, message, reason); return take() }
				s.user = func(message any) {
					if message == "fail" {
						fail()
					}
					got = append(got, message)
				}
				s.script.failed = func(reason, message any) { escalated = append(escalated, message, reason) }
				d := &byHand{throughput: 100}
				var m tcpactor.Mailbox
				m.Init(s)
				m.RegisterHandlers(fullContext{taker: s}, d)
				m.Start()
				m.PostUserMessage("fail")
				m.PostUserMessage("next")
				returned := make(chan struct{})
				go func() { defer close(returned); d.turn() }()
				<-returned
				d.all()
				assert.Equal(t, []any{"next"}, got)
				require.Equal(t, "fail", offered[0])
				if name == "taken" {
					assert.Empty(t, escalated)
				} else {
					require.Len(t, escalated, 2)
					assert.Equal(t, "fail", escalated[0])
				}
			}
		})
	}
}

func TestWhatProtoActorRunsByItselfIsToldFromWhatTheActorReceives(t *testing.T) {
	assert.True(t, tcpactor.RunsUserCode(&actor.Touch{}))
	assert.True(t, tcpactor.RunsUserCode(&actor.MessageEnvelope{Message: &actor.Touch{}}))
	for _, message := range []any{nil, "x", 1, &protocol.Data{}, &actor.Terminated{}, &actor.Stop{}, &actor.Failure{}, &actor.Watch{}, &actor.Unwatch{},
		&actor.Restart{}, &actor.Started{}, &actor.Stopping{}, &actor.Stopped{}, &actor.Restarting{}, &actor.PoisonPill{}} {
		assert.False(t, tcpactor.RunsUserCode(message), "%T", message)
	}
}

package tcpactor

import (
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// Source is the actor behind a mailbox, as far as the mailbox knows it: it is asked for work when
// no mail is left, and it gets back what can no longer be delivered.
type Source interface {
	// Pull returns the next message to invoke, nil if there is nothing to do now. It runs on the
	// mailbox's turn, never concurrently with a Receive of the same actor.
	Pull() any
	// Drop gets a user message that arrived, or was left, after Close. It runs on the sender's
	// goroutine (or on the closer's, for leftovers) and must not block.
	Drop(message any)
}

// FailureTaker is the optional part of a Source that gets failures on its turn which no Receive
// caught.
type FailureTaker interface {
	// Failed gets what the actor's code panicked with, nil for runtime.Goexit, and the message that
	// it was invoked with, nil for Pull. It runs on the actor's turn, with the panic's frames still
	// on the stack. If it returns false, the failure goes to the supervisor.
	Failed(ctx actor.Context, message, reason any) (taken bool)
}

// WatchTaker is the optional part of a Source that keeps its watchers itself.
type WatchTaker interface {
	// TakeWatch gets each *actor.Watch and *actor.Unwatch, on the actor's turn. If it returns
	// false, Proto.Actor handles the message.
	TakeWatch(message any) (taken bool)
}

// Mailbox is a Proto.Actor mailbox made for sockets. Unlike the stock one it pulls: when its mail
// is done it asks its Source, so input is fetched on the actor's turn, after all commands that came
// before. It gives the dispatcher back after Throughput messages, and after Close no message is
// lost: each goes to Source.Drop.
//
// It is embedded by value in the actor it belongs to, two in each connection, so it is small: 88
// bytes. It makes no allocation of its own in steady state. Post*, Schedule, Run, RunNow, Turn,
// Busy and Close may be called by any goroutine; Take on the mailbox's turn only.
type Mailbox struct {
	state  atomic.Uint32 // what there is to do, and whether it is being done; see below
	mortal bool          // a restart is a stop

	closed   bool
	held     kind       // of the message that waits here: the oldest of its kind; under mu, as closed, message, overflow
	mu       sync.Mutex // never needed for a turn without mail
	message  any        // that message
	overflow *overflow  // the others that wait; nil: none

	source    Source
	invoker   actor.MessageInvoker
	scheduler scheduler
}

var _ actor.Mailbox = (*Mailbox)(nil)

// Bits of Mailbox.state. A turn without mail changes it three times: it is scheduled, it begins, it
// ends. Every call that gives the actor something to do changes it too, also where that leaves it
// as it was: so what its goroutine did before happens before the turn that finds it.
const (
	running   uint32 = 1 << iota // a turn is scheduled or under way: no other one may be started
	inside                       // of those, under way: it cannot be taken over any more
	stirred                      // something happened that the turn may have missed
	mail                         // messages wait; changed under mu
	suspended                    // the actor failed and awaits its supervisor: mail waits

	oneTurn = 1 << 24 // the bits from here on count the turns that have begun; the count wraps around
)

// Init binds the mailbox to its actor. It comes before the spawn.
func (m *Mailbox) Init(source Source) {
	m.source = source
	// Until Start: Proto.Actor enters an actor in its registry, and so lets others post, before it
	// calls RegisterHandlers.
	m.state.Store(running | inside)
}

// InitMortal is Init for an actor that cannot be restarted, as it holds a socket: a restart stops
// it.
func (m *Mailbox) InitMortal(source Source) {
	m.Init(source)
	m.mortal = true
}

// RegisterHandlers implements actor.Mailbox.
func (m *Mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.invoker, m.scheduler = invoker, schedulerOf(dispatcher, m)
}

// Start implements actor.Mailbox.
func (m *Mailbox) Start() {
	start := m.change(func(state uint32) uint32 {
		if state&stirred == 0 {
			state &^= running
		}
		return state &^ inside
	})&running != 0
	if start {
		m.scheduler.schedule(m)
	}
}

// change replaces the state by what of makes of it, which may be called several times, and returns
// the new one.
func (m *Mailbox) change(of func(state uint32) uint32) uint32 {
	for {
		state := m.state.Load()
		if next := of(state); m.state.CompareAndSwap(state, next) {
			return next
		}
	}
}

// UserMessageCount implements actor.Mailbox.
func (m *Mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.waiting(user)
}

// PostUserMessage implements actor.Mailbox.
func (m *Mailbox) PostUserMessage(message any) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		m.source.Drop(message)
		return
	}
	m.push(user, message)
	m.stirAndUnlock()
}

// PostSystemMessage implements actor.Mailbox. System messages are taken also after Close: a late
// Watch must be answered.
func (m *Mailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	m.push(system, message)
	m.stirAndUnlock()
}

func (m *Mailbox) stirAndUnlock() {
	before := m.state.Or(mail | stirred | running)
	m.mu.Unlock()
	if before&running == 0 {
		m.scheduler.schedule(m)
	}
}

// Schedule gives the actor a turn because its Source has something to pull.
func (m *Mailbox) Schedule() {
	if m.state.Or(stirred|running)&running == 0 {
		m.scheduler.schedule(m)
	}
}

// Run gives the actor a turn on the calling goroutine, if it has none yet. It is for a goroutine
// that has nothing else to do and may be blocked by the actor's work.
func (m *Mailbox) Run() {
	for {
		state := m.state.Load()
		next := state | stirred
		start := state&running == 0
		if start {
			next = begun(state)
		}
		if !m.state.CompareAndSwap(state, next) {
			continue
		}
		if start {
			m.turn(false)
		}
		return
	}
}

// RunNow gives the actor a turn on the calling goroutine even if one is scheduled: that turn is
// taken over, and finds no work left. It returns false, and does nothing, if a turn is under way on
// another goroutine, or on this one, further up its stack. It is for a caller that needs the
// actor's work done before it can go on, and for actors with turns that do not block.
func (m *Mailbox) RunNow() bool {
	for {
		state := m.state.Load()
		if state&inside != 0 {
			return false
		}
		if m.state.CompareAndSwap(state, begun(state)) {
			m.turn(false)
			return true
		}
	}
}

// begun returns the state after a turn has begun. The turn looks for everything, so nothing has
// been missed.
func begun(state uint32) uint32 { return (state|running|inside)&^stirred + oneTurn }

// begin begins a turn that was scheduled. It returns false if another goroutine has taken it over.
func (m *Mailbox) begin() bool {
	for {
		state := m.state.Load()
		if state&(running|inside) != running {
			return false
		}
		if m.state.CompareAndSwap(state, begun(state)) {
			return true
		}
	}
}

// end ends a turn that has found nothing more to do. It returns false if something has happened
// meanwhile: then the turn must look again.
func (m *Mailbox) end() bool {
	for {
		state := m.state.Load()
		if state&stirred != 0 {
			return false
		}
		if m.state.CompareAndSwap(state, state&^(running|inside)) {
			return true
		}
	}
}

// Inside reports whether a turn is under way.
func (m *Mailbox) Inside() bool { return m.state.Load()&inside != 0 }

// Turn is Inside, with a number that differs from that of the turns before, up to the 256th. A
// caller that finds the same turn under way at two moments knows that it has lasted as long.
func (m *Mailbox) Turn() (number uint8, underWay bool) {
	state := m.state.Load()
	return uint8(state / oneTurn), state&inside != 0
}

// Busy reports whether the actor is at work, or is to be: a turn is under way or scheduled, or it
// failed and awaits its supervisor.
func (m *Mailbox) Busy() bool { return m.state.Load()&(running|suspended) != 0 }

// Close ends the mailbox: the user messages left in it, and all that come later, go to Source.Drop.
func (m *Mailbox) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	for {
		message, ok := m.Take()
		if !ok {
			return
		}
		m.source.Drop(message)
	}
}

// Take removes the oldest user message, for an actor that must see its mail before its turn
// delivers it.
func (m *Mailbox) Take() (message any, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	message, ok = m.pop(user)
	m.noteEmpty()
	return message, ok
}

// noteEmpty is called under mu after a message was taken.
func (m *Mailbox) noteEmpty() {
	if m.held == none && m.overflow == nil {
		m.state.And(^mail)
	}
}

// run is a turn that was scheduled.
func (m *Mailbox) run() { m.turn(true) }

// turn is one turn: system messages, then mail, then messages of the source, until nothing is left
// or the throughput is used up. A scheduled turn may have been taken over meanwhile; then there is
// no work.
func (m *Mailbox) turn(scheduled bool) {
	var message any
	var what kind
	finished := false
	defer func() {
		if finished {
			return
		}
		m.failed(message, recover())
	}()
	if scheduled && !m.begin() {
		finished = true
		return
	}
	for left := m.scheduler.Throughput(); ; left-- {
		if left <= 0 {
			finished = true
			m.goOn()
			return
		}
		if message, what = m.next(); what == none {
			finished = true
			return
		}
		if what == user {
			m.invoker.InvokeUserMessage(message)
			message = nil // a failure of the source has none
			continue
		}
		switch message.(type) {
		case *actor.SuspendMailbox:
			m.setSuspended(true)
		case *actor.ResumeMailbox:
			m.setSuspended(false)
		case *actor.Restart:
			if m.mortal {
				m.stop()
			} else {
				m.invoker.InvokeSystemMessage(message)
			}
		case *actor.Stop:
			m.stop()
		case *actor.Watch, *actor.Unwatch:
			if source, takes := m.source.(WatchTaker); !takes || !source.TakeWatch(message) {
				m.invoker.InvokeSystemMessage(message)
			}
		default:
			m.invoker.InvokeSystemMessage(message)
		}
		message = nil
	}
}

// failed ends a turn in which the actor panicked, or called runtime.Goexit; for that reason is nil.
// The message at hand is lost. The rest goes on in a turn of its own, if the actor does not take
// the failure after the supervisor has decided (EscalateFailure suspends the mailbox).
func (m *Mailbox) failed(message, reason any) {
	taken := false
	defer func() { // also where the code that takes the failure fails in turn
		_ = recover()
		if reason == nil {
			reason = protocol.ErrGoexit
		}
		if !taken {
			m.invoker.EscalateFailure(reason, message)
		}
		m.goOn()
	}()
	source, takes := m.source.(FailureTaker)
	ctx, genuine := m.invoker.(actor.Context)
	if takes && genuine {
		taken = source.Failed(ctx, message, reason)
	}
}

// RunsUserCode reports whether Proto.Actor itself calls the user's code for message, not through
// the actor's Receive: a continuation of ReenterAfter, or a message that answers for itself.
func RunsUserCode(message any) bool {
	switch m := actor.UnwrapEnvelopeMessage(message).(type) {
	case actor.AutoRespond:
		return true
	case *actor.Started, *actor.Stop, *actor.Watch, *actor.Unwatch, *actor.Terminated, *actor.Failure, *actor.Restart, *actor.Stopping,
		*actor.Stopped, *actor.Restarting:
		return false
	default:
		_, system := m.(actor.SystemMessage) // the type of a continuation is not exported
		return system
	}
}

// stop hands a Stop on. An actor that failed while it was stopping already goes on with the stop:
// it may still wait for mail.
func (m *Mailbox) stop() {
	m.setSuspended(false)
	m.invoker.InvokeSystemMessage(stopMessage)
}

var stopMessage = &actor.Stop{}

// goOn ends a turn that another one follows. The mailbox stays marked as running: no other one is
// scheduled in between.
func (m *Mailbox) goOn() {
	m.state.And(^inside)
	m.scheduler.schedule(m)
}

// next returns the turn's next message. With none the turn is over, and the mailbox has been marked
// as not running.
func (m *Mailbox) next() (any, kind) {
	for {
		state := m.state.Load()
		if state&stirred != 0 { // before the look: what comes after it must not be missed
			state = m.state.And(^stirred)
		}
		if state&mail != 0 {
			if message, what := m.nextMail(); what != none {
				return message, what
			}
		}
		if m.state.Load()&suspended == 0 {
			// The source reads from its socket here.
			if message := m.source.Pull(); message != nil {
				return message, user
			}
		}
		if m.end() {
			return nil, none
		}
	}
}

func (m *Mailbox) nextMail() (any, kind) {
	m.mu.Lock()
	defer m.mu.Unlock()
	message, what := m.popNext()
	m.noteEmpty()
	return message, what
}

func (m *Mailbox) setSuspended(to bool) {
	if to {
		m.state.Or(suspended)
	} else {
		m.state.And(^suspended)
	}
}

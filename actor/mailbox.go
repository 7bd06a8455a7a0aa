package tcpactor

import (
	"sync"

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
	mu        sync.Mutex
	running   bool // a turn is scheduled or under way: no other one may be started
	inside    bool // of those, under way: it cannot be taken over any more
	stirred   bool // something happened during the turn that the turn may have missed
	suspended bool // the actor failed and awaits its supervisor: mail waits
	closed    bool
	mortal    bool      // a restart is a stop
	turns     uint8     // how many have begun; it wraps around
	held      kind      // of the message that waits here: the oldest of its kind
	message   any       // that message
	overflow  *overflow // the others that wait; nil: none

	source    Source
	invoker   actor.MessageInvoker
	scheduler scheduler
}

var _ actor.Mailbox = (*Mailbox)(nil)

// Init binds the mailbox to its actor. It comes before the spawn.
func (m *Mailbox) Init(source Source) {
	m.source = source
	// Until Start: Proto.Actor enters an actor in its registry, and so lets others post, before it
	// calls RegisterHandlers.
	m.running, m.inside = true, true
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
	m.mu.Lock()
	start := m.stirred
	m.running, m.inside = start, false
	m.mu.Unlock()
	if start {
		m.scheduler.schedule(m)
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

// Schedule gives the actor a turn because its Source has something to pull.
func (m *Mailbox) Schedule() {
	m.mu.Lock()
	m.stirAndUnlock()
}

func (m *Mailbox) stirAndUnlock() {
	m.stirred = true
	start := !m.running
	m.running = true
	m.mu.Unlock()
	if start {
		m.scheduler.schedule(m)
	}
}

// Run gives the actor a turn on the calling goroutine, if it has none yet. It is for a goroutine
// that has nothing else to do and may be blocked by the actor's work.
func (m *Mailbox) Run() {
	m.mu.Lock()
	m.stirred = true
	start := !m.running
	if start {
		m.running = true
		m.enter()
	}
	m.mu.Unlock()
	if start {
		m.turn(false)
	}
}

// RunNow gives the actor a turn on the calling goroutine even if one is scheduled: that turn is
// taken over, and finds no work left. It returns false if a turn is under way on another goroutine,
// or on this one, further up its stack; that turn looks for work once more before it ends. It is
// for a caller that needs the actor's work done before it can go on, and for actors with turns that
// do not block.
func (m *Mailbox) RunNow() bool {
	m.mu.Lock()
	if m.inside {
		m.stirred = true // it may have looked already for what the caller has for it
		m.mu.Unlock()
		return false
	}
	m.running, m.stirred = true, true
	m.enter()
	m.mu.Unlock()
	m.turn(false)
	return true
}

// enter notes that a turn begins. m.mu must be held.
func (m *Mailbox) enter() {
	m.inside = true
	m.turns++
}

// Inside reports whether a turn is under way.
func (m *Mailbox) Inside() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inside
}

// Turn is Inside, with a number that differs from that of the turns before, up to the 256th. A
// caller that finds the same turn under way at two moments knows that it has lasted as long.
func (m *Mailbox) Turn() (number uint8, inside bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.turns, m.inside
}

// Busy reports whether the actor is at work, or is to be: a turn is under way or scheduled, or it
// failed and awaits its supervisor.
func (m *Mailbox) Busy() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running || m.suspended
}

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
	return m.pop(user)
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
	for left := m.scheduler.Throughput(); ; left-- {
		if left <= 0 {
			finished = true
			m.goOn()
			return
		}
		if message, what = m.next(scheduled); what == none {
			finished = true
			return
		}
		scheduled = false
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
	m.mu.Lock()
	m.inside = false
	m.mu.Unlock()
	m.scheduler.schedule(m)
}

// next returns the turn's next message. With none the turn is over, and the mailbox has been marked
// as not running. begins says that the turn was scheduled and begins here, unless another goroutine
// has taken it over.
func (m *Mailbox) next(begins bool) (any, kind) {
	for {
		m.mu.Lock()
		if begins {
			if !m.running || m.inside {
				m.mu.Unlock()
				return nil, none
			}
			m.enter()
			begins = false
		}
		if m.held != none || m.overflow != nil {
			if message, what := m.popNext(); what != none {
				m.mu.Unlock()
				return message, what
			}
		}
		if !m.suspended {
			m.stirred = false
			m.mu.Unlock()
			// Outside the lock: the source reads from its socket here.
			if message := m.source.Pull(); message != nil {
				return message, user
			}
			m.mu.Lock()
			if m.stirred {
				m.mu.Unlock()
				continue
			}
		}
		m.running, m.inside = false, false
		m.mu.Unlock()
		return nil, none
	}
}

func (m *Mailbox) setSuspended(suspended bool) {
	m.mu.Lock()
	m.suspended = suspended
	m.mu.Unlock()
}

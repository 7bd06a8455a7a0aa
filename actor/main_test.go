package tcpactor_test

import (
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/internal/setup"
)

func TestMain(m *testing.M) { setup.Main(m) }

func newSystem() *actor.ActorSystem { return setup.System() }

const patience = setup.Patience

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	return setup.Receive(t, from)
}

// stop stops an actor and waits for its end.
func stop(t *testing.T, system *actor.ActorSystem, pid *actor.PID) {
	t.Helper()
	require.NoError(t, system.Root.StopFuture(pid).Wait())
}

// byHand is a dispatcher that keeps the turns for the test to run, one by one.
type byHand struct {
	throughput int
	mu         sync.Mutex
	turns      []func()
}

func (d *byHand) Throughput() int { return d.throughput }

func (d *byHand) Schedule(turn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turns = append(d.turns, turn)
}

func (d *byHand) waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.turns)
}

// turn runs the oldest turn, on the calling goroutine, and reports whether there was one.
func (d *byHand) turn() bool {
	d.mu.Lock()
	if len(d.turns) == 0 {
		d.mu.Unlock()
		return false
	}
	next := d.turns[0]
	d.turns = append(d.turns[:0], d.turns[1:]...)
	d.mu.Unlock()
	next()
	return true
}

func (d *byHand) all() {
	for d.turn() {
	}
}

// script is both sides of a mailbox: the actor that it invokes and the source that it pulls. The
// functions are called on its turn, except dropped; nil ones do nothing.
type script struct {
	user    func(message any)
	system  func(message any)
	failed  func(reason, message any)
	pull    func() any
	dropped func(message any)
}

func (s *script) InvokeUserMessage(message any) {
	if s.user != nil {
		s.user(message)
	}
}

func (s *script) InvokeSystemMessage(message any) {
	if s.system != nil {
		s.system(message)
	}
}

func (s *script) EscalateFailure(reason, message any) {
	if s.failed != nil {
		s.failed(reason, message)
	}
}

func (s *script) Pull() any {
	if s.pull != nil {
		return s.pull()
	}
	return nil
}

func (s *script) Drop(message any) {
	if s.dropped != nil {
		s.dropped(message)
	}
}

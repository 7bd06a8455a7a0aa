package berthtest

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/test/sched"
)

// OrderVariable is the environment variable with the number of the one order that Orders is to run.
const OrderVariable = "BERTHTEST_ORDER"

// World is a test that runs in one order of many. It is the testing.TB of everything in it.
type World struct {
	testing.TB
	// System is the actor system of the world. Actors that its Root spawns, their children, and the
	// connections run in the order of the world.
	System *actor.ActorSystem

	run      *sched.Run
	running  sync.WaitGroup
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// Orders runs test n times, each time in another order: in which the turns of connections, of their
// handlers and of other actors come, and in which clients and the network act. It stops at the
// first order that fails, and tells its number. The same number is the same order, always: with
// BERTHTEST_ORDER=number in the environment, that order alone is run.
//
// Each run is in a bubble of testing/synctest, so time is virtual. One goroutine runs at a time,
// until it waits: for the network, for the time by sched.Sleep, for another actor, or because its
// turn is over; a turn of a connection is one message long. What test does concurrently it starts
// with [World.Go]. A goroutine that a handler starts with a go statement runs beside the others,
// and is not part of the order. So are waits for an actor.Future.
//
// One world runs at a time in a process, and no other test with a server in a bubble may run
// meanwhile: do not call t.Parallel.
func Orders(t *testing.T, n int, test func(w *World)) {
	t.Helper()
	first, last := 1, n
	if only := os.Getenv(OrderVariable); only != "" {
		number, err := strconv.Atoi(only)
		if err != nil {
			t.Fatalf("berthtest: %s is %q, which is no number", OrderVariable, only)
		}
		first, last = number, number
	}
	for number := first; number <= last; number++ {
		failures := runOrder(t, uint64(number), test)
		if len(failures) == 0 {
			continue
		}
		for _, failure := range failures {
			t.Error(failure)
		}
		t.Fatalf("berthtest: order %d fails; again: %s=%d go test -count=1 -run '^%s$'", number, OrderVariable, number, t.Name())
	}
}

// runOrder runs test in one order and returns what failed.
func runOrder(t *testing.T, number uint64, test func(w *World)) (failures []string) {
	synctest.Test(t, func(t *testing.T) {
		w := &World{TB: t}
		_, err := sched.Do(sched.Options{Policy: policyOf(number), Seed: number}, func(run *sched.Run) {
			w.run = run
			w.System = newSystem()
			w.System.Root = w.System.Root.Copy().WithSpawnMiddleware(inOrder)
			w.test(test)
		})
		if err != nil {
			w.fail(fmt.Sprintf("berthtest: %v", err))
		}
		failures = w.failures
	})
	return failures
}

// policyOf takes turns: orders by priorities find what needs few steps in an unlikely order, random
// ones what is likely.
func policyOf(number uint64) sched.Policy {
	if number%2 == 0 {
		const depth, steps = 3, 200
		return sched.PCT(number, depth, steps)
	}
	return sched.Random(number)
}

// inOrder gives an actor, and its children, a dispatcher that runs its turns in the world's order.
func inOrder(next actor.SpawnFunc) actor.SpawnFunc {
	return func(system *actor.ActorSystem, id string, props *actor.Props, parent actor.SpawnerContext) (*actor.PID, error) {
		ordered := props.Clone(actor.WithDispatcher(tcpactor.NewPool()), actor.WithSpawnMiddleware(inOrder))
		return next(system, id, ordered, parent)
	}
}

// test runs the test, and its cleanups, also where it ends early.
func (w *World) test(test func(w *World)) {
	done := make(chan struct{})
	seam.Go(func() {
		defer close(done)
		defer w.cleanUp()
		defer w.wait()
		test(w)
	})
	turn := seam.Wait()
	<-done
	turn.Over()
}

func (w *World) cleanUp() {
	for len(w.cleanups) > 0 {
		last := len(w.cleanups) - 1
		cleanup := w.cleanups[last]
		w.cleanups = w.cleanups[:last]
		cleanup()
	}
}

// Serve starts a server in the world's System, as the function Serve does.
func (w *World) Serve(handler berth.Factory, options ...Option) *Server {
	w.Helper()
	server := Serve(w, handler, append(options, InSystem(w.System), inWorld)...)
	return server
}

// Go runs f concurrently with the rest of the test. The test waits for it at its end.
func (w *World) Go(f func()) {
	w.running.Add(1)
	seam.Go(func() {
		defer w.running.Done()
		f()
	})
}

// Wait waits until the functions given to Go have returned.
func (w *World) Wait() { w.wait() }

func (w *World) wait() {
	turn := seam.Wait()
	w.running.Wait()
	turn.Over()
}

// Rest waits until nothing moves any more in the world, unless time passes.
func (w *World) Rest() { w.run.Rest() }

// Cleanup implements testing.TB: cleanup is called at the end of this order.
func (w *World) Cleanup(cleanup func()) { w.cleanups = append(w.cleanups, cleanup) }

func (w *World) fail(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, text)
}

// Failed implements testing.TB, for this order.
func (w *World) Failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.failures) > 0
}

// Fail implements testing.TB.
func (w *World) Fail() { w.fail("the test failed") }

// FailNow implements testing.TB. It ends the calling goroutine.
func (w *World) FailNow() {
	w.Fail()
	runtime.Goexit()
}

// Error implements testing.TB.
func (w *World) Error(arguments ...any) { w.fail(fmt.Sprint(arguments...)) }

// Errorf implements testing.TB.
func (w *World) Errorf(format string, arguments ...any) { w.fail(fmt.Sprintf(format, arguments...)) }

// Fatal implements testing.TB. It ends the calling goroutine.
func (w *World) Fatal(arguments ...any) {
	w.Error(arguments...)
	runtime.Goexit()
}

// Fatalf implements testing.TB. It ends the calling goroutine.
func (w *World) Fatalf(format string, arguments ...any) {
	w.Errorf(format, arguments...)
	runtime.Goexit()
}

package sim

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"time"

	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/history"
	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/sched"
	"github.com/go-berth/berth/test/simnet"
)

// D1: the guarantees hold for all actions of users, peers, the network and the clock, in any order.
// One goroutine runs at a time; the seed decides which one.
func TestSim(t *testing.T) {
	if *again != "" {
		replay(t, *again)
		return
	}
	simulateInOrder(t, "")
}

// The same worlds on the poll transport: the acceptors, the event loop, the poll set and the
// sockets are the real ones.
func TestSimOnThePollTransport(t *testing.T) {
	if kernelNetwork == nil {
		t.Skip("not on " + runtime.GOOS)
	}
	simulateInOrder(t, "poll")
}

// simulateInOrder runs the worlds of all seeds on one of the ordered networks.
func simulateInOrder(t *testing.T, over string) {
	first, last := *from, *seeds
	if *seed != 0 {
		first, last = *seed, *seed
	}
	began := time.Now()
	sum := total{ends: map[string]int{}}
	for n := first; n <= last && !t.Failed(); n++ {
		r := inOrder(t, storyOf(over, n, *steps))
		sum.add(r)
		if r.failed() {
			r.shrink(t)
		}
	}
	figures := sum.figures()
	figures["operations per second"] = int(float64(sum.operations) / time.Since(began).Seconds())
	report.Add(t, report.Row{
		ID: "D1", Holds: "G1-G8, G10, G13, G15", Seeds: fmt.Sprintf("%d-%d", first, last), Duration: time.Since(began), Figures: figures,
		Skipped: skipped(*seeds >= 5000, "a short form"),
	})
}

// The same worlds in the order that Go's scheduler takes, on all processors: there a goroutine can
// be stopped anywhere, also in the middle of a turn. A seed does not determine this order.
func TestSimFree(t *testing.T) {
	if *seed != 0 {
		untilItFails(t, *seed)
		return
	}
	began := time.Now()
	sum := total{ends: map[string]int{}}
	var next atomic.Uint64
	worlds := max(1, *seeds/4)
	t.Run("worlds", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				for n := next.Add(1); n <= worlds && !sum.failed.Load(); n = next.Add(1) {
					r := simulate(t, n, *steps)
					sum.add(r)
					if r.failed() {
						r.tell(t)
					}
				}
			})
		}
	})
	figures := sum.figures()
	figures["operations per second"] = int(float64(sum.operations) / time.Since(began).Seconds())
	report.Add(t, report.Row{
		ID: "D1", Holds: "G1-G8, G10, G13, G15", Seeds: fmt.Sprintf("1-%d", worlds), Duration: time.Since(began), Figures: figures,
		Skipped: skipped(*seeds >= 5000, "a short form"),
	})
}

// total is the sum over all worlds.
type total struct {
	failed     atomic.Bool
	mu         sync.Mutex
	worlds     int
	operations int
	records    int
	violations int
	refused    int            // writes, for lack of room, as far as that is told
	waited     int            // writes that wait
	ends       map[string]int // by reason
}

func (s *total) add(r run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worlds++
	s.operations += r.operations
	s.records += len(r.records)
	s.violations += len(r.violations)
	for i := range r.records {
		s.count(&r.records[i])
	}
	if r.failed() {
		s.failed.Store(true)
	}
}

func (s *total) count(r *history.Record) {
	switch {
	case r.Closed != nil:
		s.ends[r.Closed.Reason.String()]++
	case r.What == history.Begin && r.Op == history.Wait:
		s.waited++
	case r.What != history.Enter && (r.Err == protocol.ErrWriteQueueFull || r.Err == protocol.ErrWriteBufferFull):
		s.refused++
	}
}

func (s *total) figures() map[string]any {
	return map[string]any{
		"worlds": s.worlds, "operations": s.operations, "records": s.records, "violations": s.violations,
		"refused for lack of room": s.refused, "waiting writes": s.waited, "ends": maps.Clone(s.ends),
	}
}

// run is one world, run and judged.
type run struct {
	seed       uint64
	steps      int
	plan       plan
	records    []history.Record
	operations int
	violations []check.Violation
	story      storyLine      // where one goroutine runs at a time
	taken      []sched.Choice // there, at each point
	err        error          // it did not end, or left something over
}

func (r run) failed() bool { return r.err != nil || len(r.violations) > 0 }

// simulate runs one world over a simulated network.
func simulate(t *testing.T, seed uint64, steps int) run {
	rng := rand.New(rand.NewPCG(seed, 0))
	r := run{seed: seed, steps: steps, plan: newPlan(rng)}
	var err error
	r.err = inBubble(t, fmt.Sprintf("seed %d", seed), func() {
		w := &world{seed: seed, plan: r.plan, ground: &simulated{}, system: newSystem()}
		r.records, err = w.history(steps)
		r.operations = w.operations(r.records)
	})
	if r.err == nil {
		r.err = err
		r.violations = check.Violations(r.plan.world(), r.records)
	}
	return r
}

// tell fails the test. Before that it searches for a shorter world that fails as well.
func (r run) tell(t *testing.T) {
	least := r
	for low := 0; low+1 < least.steps; {
		middle := (low + least.steps) / 2
		if shorter := fails(t, r.seed, middle); shorter.failed() {
			least = shorter
		} else {
			low = middle
		}
	}
	t.Errorf("seed %d fails with %d steps; again: go test ./test/sim -count=1 -run '^TestSimFree$' -sim.seed %d -sim.ops %d",
		r.seed, least.steps, r.seed, least.steps)
	least.show(t)
}

// show prints a violation and its story.
func (r run) show(t *testing.T) {
	t.Logf("%+v", r.plan)
	if r.err != nil {
		t.Error(r.err)
	}
	for _, v := range r.violations[:min(len(r.violations), 3)] {
		t.Errorf("%v\n%s", v, strings.Join(story(r.records, v), "\n"))
	}
}

// fails runs a seed a few times, because the seed does not decide which of several goroutines runs
// first.
func fails(t *testing.T, seed uint64, steps int) (r run) {
	for range 3 {
		if r = simulate(t, seed, steps); r.failed() {
			break
		}
	}
	return r
}

// untilItFails runs one seed until it fails, first on one processor.
func untilItFails(t *testing.T, seed uint64) {
	const tries = 20
	all := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(all)
	for try := range 2 * tries {
		if try == tries {
			runtime.GOMAXPROCS(all)
		}
		if r := simulate(t, seed, *steps); r.failed() {
			r.tell(t)
			return
		}
	}
	t.Logf("%d runs of seed %d, and none failed", 2*tries, seed)
}

// simulated is a network in memory, in a bubble of virtual time.
type simulated struct {
	*simnet.Listener
	clients clientEnds
}

func (s *simulated) listen(w *world) (*listener.Listener, error) {
	s.Listener = simnet.Listen(w.plan.network)
	w.recorder.Measure(s.clients.room)
	return listener.Serve(w.system.Root, s.Listener, w.recorder.Watch(w.factory()), w.plan.listener)
}

func (s *simulated) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // the backlog may be full
	defer cancel()
	conn, err := s.Dial(ctx)
	if err != nil {
		return nil, err // not the nil *Conn
	}
	s.clients.add(conn)
	return conn, nil
}

func (s *simulated) rest(w *world) { s.clients.rest(w.recorder) }

func (*simulated) answers(*world)            {}
func (s *simulated) sleep(d time.Duration)   { sched.Sleep(d) }
func (s *simulated) patience() time.Duration { return 300 * time.Millisecond }

func (s *simulated) left() string {
	if open := s.Open(); open > 0 {
		return fmt.Sprintf("%d sockets", open)
	}
	return ""
}

package sched

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/go-berth/berth/internal/seam"
)

// Options of a run.
type Options struct {
	// Policy picks what runs next. nil: Random with seed 1.
	Policy Policy
	// Seed is that of the random numbers that Berth itself draws.
	Seed uint64
	// Throughput is how many messages an actor handles in one step. 0: 1.
	Throughput int
	// Strict looks for goroutines that run beside the one that was picked, and reports the first
	// one as the error of Do. It takes some microseconds for each step.
	Strict bool
	// MostSteps ends a run that does not end by itself, with an error of Do. What has not ended
	// remains in the bubble, which reports a deadlock, unless it is abandoned. 0: a million.
	MostSteps int
}

// Step is something that can run next: the turn of an actor, or a goroutine that may go on.
type Step struct {
	// Thread is the number of the actor, or of the goroutine. Threads are numbered from 1 in the
	// order in which they come, so that a thread has the same number in every run that is the same
	// up to there.
	Thread int
	// Name tells what the thread is, if that is known.
	Name string
	// Number counts the thread's steps.
	Number int
	// Label is what the thread, or the one that started it, belongs to, as Run.Label has told; 0:
	// to all.
	Label int

	order  uint64 // of several of one thread
	class  class
	resume chan struct{}
	turn   func()
	thread *thread
}

// Run is one execution, from the call of Do to its return.
type Run struct {
	options Options

	mu        sync.Mutex
	ready     []*Step
	current   *thread
	threads   int
	keys      map[any]*thread
	waits     map[uint64]*thread
	orders    uint64
	watches   []watch
	idle      []chan func()
	rng       *rand.Rand
	running   string // the goroutine of current, where Strict
	abandoned bool
	err       error

	signal chan struct{} // has room for one: a step is ready
	taken  []Choice
}

// class says when a step can be picked.
type class int

const (
	atOnce class = iota
	idle         // when no other can run: the caller waits for what another is to do, and asks again
	rest         // when nothing can run at all
)

// Choice is what was picked at one step.
type Choice struct {
	Thread int // of the step that was picked
	Of     int // how many could be picked
	Index  int // which one of them: they are in the order of their threads
}

// watch is a wait for something outside of the bubble.
type watch struct {
	ready func() bool
	over  chan struct{}
}

type thread struct {
	number int
	name   string
	label  int
	parent *thread
	steps  int
}

// belongs returns the label of the thread, or else of the one that started it.
func (t *thread) belongs() int {
	for ; t != nil; t = t.parent {
		if t.label != 0 {
			return t.label
		}
	}
	return 0
}

var _ seam.Scheduler = (*Run)(nil)

var errInForce = errors.New("sched: another run is under way in this process")

// Do runs f, and everything that f starts, one step at a time, until f has returned and nothing is
// left that can run. It must be called in a bubble of testing/synctest, on a goroutine on which
// nothing else runs meanwhile. One run at a time is possible in a process.
func Do(o Options, f func(*Run)) (*Run, error) {
	if o.Policy == nil {
		o.Policy = Random(1)
	}
	if o.Throughput <= 0 {
		o.Throughput = 1
	}
	if o.MostSteps <= 0 {
		o.MostSteps = 1_000_000
	}
	r := &Run{
		options: o, keys: map[any]*thread{}, waits: map[uint64]*thread{},
		rng: rand.New(rand.NewPCG(o.Seed, 0)), signal: make(chan struct{}, 1),
	}
	if !seam.Use(r) {
		return nil, errInForce
	}
	defer seam.Use(nil)
	returned := false
	r.runs()
	seam.Go(func() {
		defer func() { returned = true }()
		f(r)
	})
	for r.next(&returned) {
	}
	for _, worker := range r.idle {
		close(worker)
	}
	return r, r.err
}

// next lets one step run, or time pass. It returns false at the end.
func (r *Run) next(returned *bool) bool {
	synctest.Wait() // until the step before has come to rest
	for r.lookOutside() {
		synctest.Wait()
	}
	select {
	case <-r.signal:
	default:
	}
	r.mu.Lock()
	r.current, r.running = nil, ""
	if *returned && len(r.ready) == 0 {
		r.mu.Unlock()
		return false
	}
	if len(r.taken) >= r.options.MostSteps {
		r.err = fmt.Errorf("sched: no end after %d steps", len(r.taken))
		r.mu.Unlock()
		return false
	}
	step := r.pick()
	r.mu.Unlock()
	if step == nil {
		<-r.signal // time passes
		return true
	}
	r.start(step)
	return true
}

// lookOutside lets those go on that wait for something outside of the bubble which has come, and
// reports whether there are any. All goroutines rest.
func (r *Run) lookOutside() bool {
	before := len(r.watches)
	r.watches = slices.DeleteFunc(r.watches, func(w watch) bool {
		if !w.ready() {
			return false
		}
		close(w.over)
		return true
	})
	return len(r.watches) < before
}

// pick removes the next step from those that are ready.
func (r *Run) pick() *Step {
	if len(r.ready) == 0 {
		return nil
	}
	slices.SortFunc(r.ready, compare)
	free := r.ready
	if n := slices.IndexFunc(free, func(s *Step) bool { return s.class > free[0].class }); n > 0 {
		free = free[:n]
	}
	for _, s := range free {
		s.Label = s.thread.belongs()
	}
	index := r.options.Policy.Pick(len(r.taken), free)
	step := free[index]
	r.taken = append(r.taken, Choice{Thread: step.Thread, Of: len(free), Index: index})
	r.ready = slices.Delete(r.ready, index, index+1)
	r.current = step.thread
	return step
}

// compare puts those that are to come later behind the others.
func compare(a, b *Step) int {
	return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.Thread, b.Thread), cmp.Compare(a.order, b.order))
}

func (r *Run) start(s *Step) {
	if s.resume != nil {
		close(s.resume)
		return
	}
	var worker chan func()
	if n := len(r.idle); n > 0 {
		worker, r.idle = r.idle[n-1], r.idle[:n-1]
	} else {
		worker = make(chan func(), 1)
		go r.work(worker)
	}
	worker <- s.turn
}

// work runs turns. It ends with a turn that calls runtime.Goexit.
func (r *Run) work(worker chan func()) {
	for turn := range worker {
		r.runs()
		turn()
		r.mu.Lock()
		r.idle = append(r.idle, worker)
		r.mu.Unlock()
	}
}

func (r *Run) newThread(name string) *thread {
	r.threads++
	return &thread{number: r.threads, name: name, parent: r.current}
}

// add makes a step ready. r.mu must be held.
func (r *Run) add(t *thread, s *Step) {
	r.orders++
	r.addAt(t, s, r.orders)
}

func (r *Run) addAt(t *thread, s *Step, order uint64) {
	t.steps++
	s.thread, s.Thread, s.Name, s.Number, s.order = t, t.number, t.name, t.steps, order
	if r.abandoned {
		r.free(s)
		return
	}
	r.ready = append(r.ready, s)
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

// Go implements seam.Scheduler.
func (r *Run) Go(f func()) { r.Start(0, f) }

// Start is Go for a goroutine with a label.
func (r *Run) Start(label int, f func()) {
	r.mu.Lock()
	r.look()
	t := r.newThread("goroutine")
	t.label = label
	s := &Step{resume: make(chan struct{})}
	r.add(t, s)
	r.mu.Unlock()
	go func() {
		<-s.resume
		r.runs()
		f()
	}()
}

// Turn implements seam.Scheduler.
func (r *Run) Turn(key any, f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look()
	t := r.keys[key]
	if t == nil {
		t = r.newThread(fmt.Sprintf("%T", key))
		r.keys[key] = t
	}
	r.add(t, &Step{turn: f})
}

// Throughput implements seam.Scheduler.
func (r *Run) Throughput() int { return r.options.Throughput }

// Wait implements seam.Scheduler.
func (r *Run) Wait() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look()
	r.orders++
	t := r.current
	if t == nil { // a goroutine that no run knows of
		t = r.newThread("stranger")
	}
	r.waits[r.orders] = t
	return r.orders
}

// Over implements seam.Scheduler.
func (r *Run) Over(wait uint64) { r.over(wait, atOnce) }

func (r *Run) over(wait uint64, when class) {
	r.mu.Lock()
	t := r.waits[wait]
	delete(r.waits, wait)
	s := &Step{resume: make(chan struct{}), class: when}
	r.addAt(t, s, wait)
	r.mu.Unlock()
	<-s.resume
	r.runs()
}

// Until implements seam.Scheduler.
func (r *Run) Until(ready func() bool) {
	wait, over := r.Wait(), make(chan struct{})
	r.mu.Lock()
	r.watches = append(r.watches, watch{ready, over})
	r.mu.Unlock()
	<-over
	r.Over(wait)
}

// AfterFunc implements seam.Scheduler.
func (r *Run) AfterFunc(d time.Duration, f func()) *time.Timer {
	r.mu.Lock()
	r.look()
	t := r.newThread("timer")
	r.mu.Unlock()
	return time.AfterFunc(d, func() {
		r.mu.Lock()
		s := &Step{resume: make(chan struct{})}
		r.addAt(t, s, 0)
		r.mu.Unlock()
		<-s.resume
		r.runs()
		f()
	})
}

// runs notes which goroutine runs.
func (r *Run) runs() {
	if r.options.Strict {
		r.mu.Lock()
		r.running = goroutine()
		r.mu.Unlock()
	}
}

// look reports a caller that was not picked. r.mu must be held.
func (r *Run) look() {
	if r.options.Strict && r.err == nil && goroutine() != r.running {
		r.err = fmt.Errorf("sched: a goroutine runs that was not picked, beside %v:\n%s", r.current, debug.Stack())
	}
}

// goroutine returns the number of the calling goroutine. Go tells it in a stack trace only.
func goroutine() string {
	header := make([]byte, 32)
	header = header[:runtime.Stack(header, false)]
	return strings.Fields(string(header))[1]
}

// Random implements seam.Scheduler.
func (r *Run) Random() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rng.Uint64()
}

// Rest returns when nothing else can run until time passes. It is for the goroutine of f.
func (r *Run) Rest() { r.over(r.Wait(), rest) }

// Idle implements seam.Scheduler.
func (r *Run) Idle() { r.over(r.Wait(), idle) }

// Label says what the calling goroutine, or the actor whose turn it is, belongs to from now on, and
// with it what it starts: see Step.
func (r *Run) Label(label int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		r.current.label = label
	}
}

// Name names the calling goroutine, or the actor whose turn it is.
func (r *Run) Name(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		r.current.name = name
	}
}

// Abandon lets all that is left after an error of Do go on, in no order.
func (r *Run) Abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.abandoned = true
	for _, s := range r.ready {
		r.free(s)
	}
	r.ready = nil
}

// free lets a step go on beside others.
func (r *Run) free(s *Step) {
	if s.resume != nil {
		close(s.resume)
	} else {
		go s.turn()
	}
}

// Taken returns what was picked at each step.
func (r *Run) Taken() []Choice { return r.taken }

// Sleep is time.Sleep for a goroutine of a run; elsewhere it is time.Sleep.
func Sleep(d time.Duration) {
	wait := seam.Wait()
	time.Sleep(d)
	wait.Over()
}

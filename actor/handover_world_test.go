package tcpactor

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/test/sched"
)

// stage is an event loop with a few actors behind real mailboxes, around a poll set in memory. All
// of it runs in steps of test/sched: the workers, the monitor, the senders, the handlers. It checks
// what it sees: see fail.
type stage struct {
	run   *sched.Run
	loop  *EventLoop
	set   *edges
	nodes []*node
	began time.Time

	moving    sync.WaitGroup
	senders   int
	closed    bool    // the event loop: nothing polls any more
	blockings []*span // of all turns
	history   []incident
	broken    string // the first thing that is not as it must be

	turns, handOvers int
	longest          map[int]time.Duration // that a message waited, by the number of turns that blocked meanwhile
}

// span is the time for which a turn blocked.
type span struct{ from, to time.Time }

// incident is a record of a stage's history.
type incident struct {
	at         time.Duration
	what       string
	node, from int
	number     int
}

func (i incident) String() string {
	return fmt.Sprintf("%10v %s, actor %d, sender %d, number %d", i.at, i.what, i.node, i.from, i.number)
}

func newStage(run *sched.Run, nodes, workers int) *stage {
	s := &stage{run: run, began: time.Now(), longest: map[int]time.Duration{}}
	s.set = &edges{stage: s}
	s.loop = NewEventLoop(s.set, workers)
	for i := range nodes {
		n := &node{stage: s, number: i + 1, sent: map[int]int{}, handled: map[int]int{}}
		n.mailbox.Init(n)
		n.mailbox.RegisterHandlers(n, s.loop)
		n.mailbox.Start()
		s.nodes = append(s.nodes, n)
	}
	return s
}

// fail notes what is broken. The first time counts.
func (s *stage) fail(format string, values ...any) {
	if s.broken == "" {
		s.broken = fmt.Sprintf(format, values...)
		s.note("broken: "+s.broken, 0, 0, 0)
	}
}

func (s *stage) note(what string, node, from, number int) {
	s.history = append(s.history, incident{time.Since(s.began), what, node, from, number})
}

// node is an actor: the mailbox's source and invoker.
type node struct {
	stage   *stage
	number  int
	mailbox Mailbox
	inside  bool
	gate    chan struct{} // its turn waits for it
	free    time.Time     // since when its own turns block no more

	sent, handled map[int]int // by sender: the number of the last one

	readable bool        // the poll set has told that there is input
	input    []time.Time // when each piece came
	blocking int         // that many pieces make the handler block
	arrived  int
	served   int
}

// letter is a message to a node.
type letter struct {
	kind         byte
	from, number int
	posted       time.Time
}

// piece is a message of a node's input.
type piece struct {
	arrived time.Time
	blocks  bool
}

// post sends a letter. Letters of one sender have numbers from 1.
func (n *node) post(kind byte, from int) {
	n.sent[from]++
	l := letter{kind, from, n.sent[from], time.Now()}
	n.stage.note("posted "+string(kind), n.number, from, l.number)
	n.mailbox.PostUserMessage(l)
}

// arrive is input from the network.
func (n *node) arrive(blocks bool) {
	n.arrived++
	if blocks {
		n.blocking++
	}
	n.input = append(n.input, time.Now())
	n.stage.note("input", n.number, 0, n.arrived)
	n.stage.set.edge(n)
}

// Pull implements Source. Its end is one of the moments at which others may come in between.
func (n *node) Pull() any {
	n.enter()
	defer n.leave()
	if !n.readable {
		seam.Yield()
		return nil
	}
	if len(n.input) == 0 {
		n.readable = false
		seam.Yield()
		return nil
	}
	p := piece{n.input[0], n.blocking > 0}
	if p.blocks {
		n.blocking--
	}
	n.input = n.input[1:]
	return p
}

// Drop implements Source.
func (n *node) Drop(message any) {
	n.stage.fail("a message of actor %d is dropped: %v", n.number, message)
}

func (n *node) enter() {
	if n.inside {
		n.stage.fail("two turns of actor %d overlap", n.number)
	}
	n.inside = true
}

func (n *node) leave() { n.inside = false }

// InvokeUserMessage implements actor.MessageInvoker.
func (n *node) InvokeUserMessage(message any) {
	n.enter()
	defer n.leave()
	s := n.stage
	s.turns++
	switch m := message.(type) {
	case piece:
		n.served++
		s.note("served", n.number, 0, n.served)
		n.inTime(m.arrived)
		seam.Yield()
		if m.blocks {
			n.block()
		}
	case letter:
		n.handled[m.from]++
		s.note("handled "+string(m.kind), n.number, m.from, m.number)
		if n.handled[m.from] != m.number {
			s.fail("actor %d gets message %d of sender %d, and number %d is the next", n.number, m.number, m.from, n.handled[m.from])
		}
		n.inTime(m.posted)
		n.handle(m)
	}
}

func (n *node) handle(m letter) {
	switch m.kind {
	case 'f': // one of many
		return
	case 'B':
		n.block()
	case 'T':
		n.span(func() { sched.Sleep(tick + tick/2) })
	case 'X':
		seam.Yield()
		runtime.Goexit()
	case 'P':
		panic("asked to")
	case 'S':
		n.stage.nodes[n.number%len(n.stage.nodes)].post('M', -n.number)
	}
	seam.Yield()
}

// block waits until the gate opens.
func (n *node) block() {
	gate := make(chan struct{})
	n.gate = gate
	n.span(func() {
		wait := seam.Wait()
		<-gate
		wait.Over()
	})
}

// open lets the turn that waits go on. It returns false if none does.
func (n *node) open() bool {
	if n.gate == nil {
		return false
	}
	close(n.gate)
	n.gate = nil
	return true
}

func (n *node) span(f func()) {
	s := n.stage
	b := &span{from: time.Now()}
	s.blockings = append(s.blockings, b)
	s.note("blocks", n.number, 0, 0)
	f()
	b.to, n.free = time.Now(), time.Now()
	s.note("goes on", n.number, 0, 0)
}

// longRow is how many turns may hold others up one after the other: of a burst nothing waits for
// longer than ten ticks (G14).
const longRow = 5

// inTime checks that a message has waited for no longer than two ticks for each turn that blocked
// meanwhile. One that had blocked for two ticks before has been taken over.
func (n *node) inTime(since time.Time) {
	if n.free.After(since) {
		since = n.free
	}
	s, now, blocked := n.stage, time.Now(), 0
	for _, b := range s.blockings {
		if b.from.Before(now) && b.from.After(since.Add(-2*tick)) && (b.to.IsZero() || b.to.After(since)) {
			blocked++
		}
	}
	waited := now.Sub(since)
	s.longest[blocked] = max(s.longest[blocked], waited)
	if most := 2 * tick * time.Duration(min(blocked, longRow)); waited > most {
		s.fail("actor %d has waited %v for its message: %v is the most, as %d others block", n.number, waited, most, blocked)
	}
}

// InvokeSystemMessage implements actor.MessageInvoker.
func (n *node) InvokeSystemMessage(any) {}

// EscalateFailure implements actor.MessageInvoker. The actor goes on.
func (n *node) EscalateFailure(reason, _ any) { n.stage.note("failed", n.number, 0, 0) }

var _ actor.MessageInvoker = (*node)(nil)

// edges is a poll set in memory. It tells of each input once, as epoll does with EPOLLET; its
// waker is an eventfd that Dispatch reads. Every call begins with a yield, as a system call may.
type edges struct {
	stage   *stage
	ready   []*node // that no Wait has told of
	woken   bool
	found   []*node
	sleeper chan struct{} // the Wait that blocks
	inside  int
}

// batch is how many events a Wait finds at most. One Wait leaves some of a burst.
const batch = 16

func (e *edges) enter() {
	if e.inside++; e.inside > 1 {
		e.stage.fail("two workers poll at once")
	}
}

// edge notes that n has input.
func (e *edges) edge(n *node) {
	if !slices.Contains(e.ready, n) {
		e.ready = append(e.ready, n)
		e.rouse()
	}
}

func (e *edges) rouse() {
	if e.sleeper != nil {
		close(e.sleeper)
		e.sleeper = nil
	}
}

// Wait implements Poller.
func (e *edges) Wait(block bool) int {
	e.enter()
	defer func() { e.inside-- }()
	seam.Yield()
	if block && len(e.ready) == 0 && !e.woken {
		sleeper := make(chan struct{})
		e.sleeper = sleeper
		wait := seam.Wait()
		<-sleeper
		wait.Over()
	}
	n := min(len(e.ready), batch)
	e.found = append(e.found[:0], e.ready[:n]...)
	e.ready = e.ready[n:]
	if e.woken {
		e.found = append(e.found, nil)
	}
	return len(e.found)
}

// Dispatch implements Poller.
func (e *edges) Dispatch(n int) {
	e.enter()
	defer func() { e.inside-- }()
	for _, n := range e.found[:n] {
		seam.Yield()
		if n == nil {
			e.woken = false
			continue
		}
		n.readable = true
		n.mailbox.Schedule()
	}
}

// Wake implements Poller.
func (e *edges) Wake() {
	seam.Yield()
	e.woken = true
	e.rouse()
}

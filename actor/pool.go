package tcpactor

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/internal/seam"
)

// Pool is a dispatcher that reuses its goroutines. A stock dispatcher starts a goroutine for every
// wake-up of an actor and pays for a fresh stack each time; a pool's goroutines have grown theirs.
// There is no upper limit: an actor that blocks holds one goroutine and delays no other actor.
//
// The maker of the pool owns its goroutines. Close stops them, Wait joins them.
type Pool struct {
	mu      sync.Mutex
	idle    []*poolWorker // last in, first out: the warmest stack first
	closed  bool
	workers sync.WaitGroup
	order   seam.Scheduler // decides what runs next; nil, except in tests: all at once
}

type poolWorker struct{ work chan turn }

var _ actor.Dispatcher = (*Pool)(nil)

const (
	// throughput is how many messages an actor handles before others get their turn. Proto.Actor's
	// own default.
	throughput = 300
	// maxIdle bounds the goroutines that wait for work; the others end. An idle one costs its
	// stack, 8 KiB or so.
	maxIdle = 64
)

// NewPool returns a pool without goroutines; they come with the work.
func NewPool() *Pool { return &Pool{order: seam.Current()} }

// Throughput implements actor.Dispatcher.
func (p *Pool) Throughput() int {
	if p.order != nil {
		return p.order.Throughput()
	}
	return throughput
}

// Schedule implements actor.Dispatcher: turn runs on a goroutine of the pool, never on the
// caller's. After Close it still runs, on a goroutine that Wait does not join: an actor must never
// be left without its turn.
func (p *Pool) Schedule(turn func()) { p.schedule(function(turn)) }

func (p *Pool) schedule(t turn) {
	if p.order != nil {
		p.scheduleInOrder(t)
		return
	}
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		w.work <- t // never blocks: an idle worker's channel is empty and has room for one
		return
	}
	closed := p.closed
	if !closed {
		p.workers.Add(1)
	}
	p.mu.Unlock()
	if closed {
		go t.run()
		return
	}
	go p.serve(&poolWorker{work: make(chan turn, 1)}, t)
}

// scheduleInOrder leaves it to a test when the turn runs.
func (p *Pool) scheduleInOrder(t turn) {
	p.workers.Add(1)
	var key any = t
	if _, ok := t.(function); ok { // which cannot be compared
		key = p
	}
	p.order.Turn(key, func() {
		defer p.workers.Done()
		t.run()
	})
}

func (p *Pool) serve(w *poolWorker, t turn) {
	defer p.workers.Done() // also where a handler ends the goroutine by runtime.Goexit
	for {
		t.run()
		if !p.park(w) {
			return
		}
		t = <-w.work
		if t == nil {
			return
		}
	}
}

func (p *Pool) park(w *poolWorker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= maxIdle {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

// Close ends the idle goroutines now and the others after their turn.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, w := range idle {
		w.work <- nil
	}
}

// Wait returns when all goroutines have ended. It is called after Close, and never from a turn of
// this pool.
func (p *Pool) Wait() { p.workers.Wait() }

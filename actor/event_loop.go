package tcpactor

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/internal/seam"
)

// Poller lets a worker of an event loop wait when it has nothing to run. It is a set of sockets, or
// of anything that gives actors work.
type Poller interface {
	// Wait returns the number of events there are; without block at once, otherwise when there is
	// one or Wake was called. One worker calls it at a time: with edge-triggered events a second
	// one would see nothing and sleep, while the first is about to schedule forty actors.
	Wait(block bool) int
	// Dispatch schedules the actors that the n events of the last Wait concern. It does not run
	// them.
	Dispatch(n int)
	// Wake makes a Wait that blocks, or else the next one, return. Any goroutine may call it.
	Wake()
}

// EventLoop is a dispatcher with workers that poll the sockets and run their actors: an event, the
// read, the handler and the write of an answer happen on one goroutine, without waking another. No
// connection belongs to a worker.
//
// There are as many workers as the load gains from (see policy), at most Options.Workers, and more
// while handlers block: a worker found inside the same turn at two ticks of the monitor in a row is
// counted out and another takes its place. No turn is moved: the blocked worker goes on when its
// handler returns. Blocked workers have no limit: each holds the turn of one actor, so there are at
// most as many as actors.
//
// The goroutines of an EventLoop are the workers and the monitor. It starts them, Close stops them,
// Wait joins them.
type EventLoop struct {
	poller Poller

	mu        sync.Mutex
	queue     turns
	workers   []*worker // all that have a goroutine, for the monitor
	parked    []*worker // of those, the ones that wait for work; last in, first out
	awake     int       // of those, the ones that neither are parked nor sleep in the poller
	blocked   int       // of the awake ones, those the monitor counts out
	target    int       // how many may be awake and not blocked; the policy's
	extra     int       // how many more for now, because others were just found blocked; more than one: a burst
	polling   bool      // a worker polls
	sleeping  bool      // and blocks in it
	waking    bool      // and was called back
	sincePoll int       // turns taken since the last poll
	empty     int       // polls without block, in a row, that found nothing
	outside   int       // how many more sleeps in the poller give other goroutines the processor first
	closed    bool
	late      int // turns under way that Close found in the queue, or that were scheduled after it

	policy  policy
	retired uint64 // turns that dismissed workers ran
	calm    int    // ticks in a row that found no worker blocked

	dozing  atomic.Bool   // the monitor sleeps until a worker has work
	rouse   chan struct{} // wakes it; room for one
	stop    chan struct{}
	joining sync.WaitGroup
}

var _ actor.Dispatcher = (*EventLoop)(nil)

// worker is one goroutine of an event loop.
type worker struct {
	inside  atomic.Uint64 // odd while it runs a turn: one counter, so that nothing can be cleared at the wrong moment
	seen    uint64        // the monitor's: inside at the last tick
	blocked bool          // counted out; under EventLoop.mu
	wake    chan bool     // false: end; room for one
	timer   *time.Timer   // how long it is parked
}

const (
	// loopThroughput is how many messages an actor handles before it goes to the end of the queue.
	loopThroughput = 64
	// pollEvery bounds the turns between two polls while the queue never runs empty. It is more
	// turns than one poll adds. Otherwise the queue would grow to all connections, and each would
	// be cold when its turn comes.
	pollEvery = 256
	// parkedFor is how long a parked worker waits for work before it ends.
	parkedFor = 10 * time.Second
)

// NewEventLoop starts an event loop of at most workers (at least one) around poller. It polls from
// now on.
func NewEventLoop(poller Poller, workers int) *EventLoop {
	c := &EventLoop{
		poller: poller,
		target: 1,
		policy: newPolicy(workers),
		rouse:  make(chan struct{}, 1),
		stop:   make(chan struct{}),
	}
	c.mu.Lock()
	c.reinforce(1)
	c.mu.Unlock()
	c.joining.Add(1)
	seam.Go(c.monitor)
	return c
}

// Throughput implements actor.Dispatcher.
func (c *EventLoop) Throughput() int { return loopThroughput }

// Schedule implements actor.Dispatcher: turn goes to the end of the queue. It never runs inside.
// Any goroutine may call it, also after Close: then the turn gets a goroutine of its own, which
// Wait joins as long as it has anything to join.
func (c *EventLoop) Schedule(turn func()) { c.schedule(function(turn)) }

func (c *EventLoop) schedule(t turn) {
	c.mu.Lock()
	if c.closed {
		c.startLate(t)
		c.mu.Unlock()
		return
	}
	c.queue.push(t)
	wake := false
	if active := c.active(); active == 0 || active < c.target && c.queue.len() > active {
		wake = c.engage()
	}
	c.mu.Unlock()
	if wake {
		c.poller.Wake()
	}
}

// active returns how many workers run turns, or are about to, without being blocked. c.mu must be
// held, as for engage, reinforce and bringIn.
func (c *EventLoop) active() int { return c.awake - c.blocked }

// engage finds one more worker for the queue. It returns true if that is the worker in the poller,
// which the caller must wake after unlocking.
func (c *EventLoop) engage() (wakePoller bool) {
	if c.sleeping {
		wakePoller = !c.waking
		c.waking, c.outside = true, yieldsAfter
		return wakePoller
	}
	c.reinforce(1)
	return false
}

// reinforce brings n workers in, parked ones first.
func (c *EventLoop) reinforce(n int) {
	for range n {
		c.awake++
		w := c.bringIn()
		if c.extra > 0 {
			w.seen = w.inside.Load() + 1 // during a burst its first turn is blocked if one tick finds it inside
		}
	}
}

func (c *EventLoop) bringIn() *worker {
	if last := len(c.parked) - 1; last >= 0 {
		w := c.parked[last]
		c.parked = c.parked[:last]
		w.wake <- true // room for one: a parked worker's channel is empty
		return w
	}
	w := &worker{wake: make(chan bool, 1)}
	c.workers = append(c.workers, w)
	c.joining.Add(1)
	seam.Go(func() { c.work(w) })
	return w
}

// work is a worker's goroutine.
func (c *EventLoop) work(w *worker) {
	finished := false
	defer func() {
		if !finished { // a handler ended the goroutine by runtime.Goexit
			c.mu.Lock()
			c.dismiss(w)
			if !c.closed { // the turns behind it must not wait for ever
				c.reinforce(1)
			}
			c.mu.Unlock()
		}
		c.joining.Done()
	}()
	for {
		t := c.next(w)
		if t == nil {
			finished = true
			return
		}
		w.inside.Add(1)
		t.run()
		w.inside.Add(1)
	}
}

// next returns the next turn of w, which may poll or be parked before. It returns nil if w has been
// dismissed.
func (c *EventLoop) next(w *worker) turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.blocked {
		w.blocked = false
		c.blocked--
	}
	for {
		switch {
		case c.active() > c.target+c.extra:
			if !c.park(w) {
				return nil
			}
		case c.queue.len() > 0 && (c.sincePoll < pollEvery || c.polling):
			c.sincePoll++
			if c.dozing.Load() {
				c.wakeMonitor() // this turn may block, and then the monitor must notice
			}
			t := c.queue.pop()
			if c.extra > 1 && (c.queue.len() > 0 || !c.polling) && c.active() < c.target+c.extra {
				c.reinforce(1) // this turn may block as well, so the next one has a worker already
			}
			return t
		case c.closed:
			c.dismiss(w)
			return nil
		case c.polling:
			if !c.park(w) {
				return nil
			}
		default:
			c.poll()
		}
	}
}

// poll looks for events, first without blocking; then, if the queue is still empty, it sleeps until
// there are some.
func (c *EventLoop) poll() {
	c.polling, c.sincePoll = true, 0
	n := 0
	if c.empty < skipAfter || c.queue.len() > 0 {
		c.mu.Unlock()
		n = c.poller.Wait(false)
		c.mu.Lock()
		if n == 0 {
			c.empty++
		} else {
			c.empty = 0
		}
	}
	if n == 0 && c.queue.len() == 0 && c.outside > 0 {
		c.outside--
		c.mu.Unlock()
		wait := seam.Wait()
		runtime.Gosched()
		wait.Over()
		c.mu.Lock()
		if c.queue.len() > 0 {
			c.outside = yieldsAfter
		}
	}
	if n == 0 && c.queue.len() == 0 && !c.closed {
		c.sleeping = true
		c.awake--
		c.mu.Unlock()
		n = c.poller.Wait(true)
		c.mu.Lock()
		c.sleeping, c.waking = false, false
		c.awake++
		if n > 1 {
			c.empty = 0
		}
	}
	if n > 0 {
		c.mu.Unlock()
		c.poller.Dispatch(n)
		c.mu.Lock()
	}
	c.polling = false
}

// skipAfter is the number of polls in a row that find nothing, after which the system call is
// saved. This happens with one client that waits for its answer.
const skipAfter = 4

// yieldsAfter is the number of sleeps that give other goroutines the processor first, once another
// goroutine gave the loop work while it slept or was about to. A turn may have handed work to them.
// A worker that sleeps in a system call at once keeps the processor from them until the runtime
// notices, 20 us to 10 ms later, and their answer has to wake it.
const yieldsAfter = 16

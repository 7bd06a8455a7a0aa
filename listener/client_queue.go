package listener

import (
	"net/netip"
	"sync"
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// queuedClient was accepted and waits for its permits, with a MaxWait.
type queuedClient struct {
	client
	ip    netip.Addr
	until time.Time
	begin func(*connection.Permit) // makes a connection of it
}

// clientQueue holds the clients that wait, the one that came first in front. Any goroutine may call
// its methods, but for the timer, which serveQueue alone starts.
type clientQueue struct {
	mu      sync.Mutex
	clients []*queuedClient
	serving bool // a goroutine serves it
	again   bool // and looks once more

	timer delay // runs until the next of them has waited for too long
}

func (q *clientQueue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.clients)
}

// add returns false if most clients wait already.
func (q *clientQueue) add(c *queuedClient, most int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.clients) >= most {
		return false
	}
	q.clients = append(q.clients, c)
	return true
}

// first returns nil if there is none.
func (q *clientQueue) first() *queuedClient {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.clients) == 0 {
		return nil
	}
	return q.clients[0]
}

// remove reports whether c was there. If it was, c belongs to the caller.
func (q *clientQueue) remove(c *queuedClient) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, one := range q.clients {
		if one == c {
			copy(q.clients[i:], q.clients[i+1:])
			q.clients[len(q.clients)-1] = nil
			q.clients = q.clients[:len(q.clients)-1]
			return true
		}
	}
	return false
}

// expired removes the clients that have waited for too long, and returns them and when to look
// again; zero means that none waits any more.
func (q *clientQueue) expired(now time.Time) (late []*queuedClient, next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := q.clients[:0]
	for _, c := range q.clients {
		if !c.until.After(now) {
			late = append(late, c)
			continue
		}
		kept = append(kept, c)
		next = first(next, c.until)
	}
	clear(q.clients[len(kept):])
	q.clients = kept
	return late, next
}

// all removes all.
func (q *clientQueue) all() []*queuedClient {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.clients
	q.clients = nil
	return all
}

// enter lets one goroutine at a time serve the queue. It returns false if another goroutine does,
// which then looks again.
func (q *clientQueue) enter() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.again = q.serving
	entered := !q.serving
	q.serving = true
	return entered
}

// leave returns false if there is something to look at again.
func (q *clientQueue) leave() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.serving = q.again
	q.again = false
	return !q.serving
}

// mostQueued is how many clients may wait at once: each holds a descriptor, and those that
// MaxConnections leaves are the process's for other things.
func (o *Options) mostQueued() int {
	most := 1024
	if files := openFilesLimit(); files > 0 {
		most = min(most, (int(min(files, unlimited))-o.MaxConnections)/2)
	}
	return max(most, 1)
}

// admit takes the permits of an accepted client, as admission does. queues says that the client is
// to wait for them in the queue.
func (s *server) admit(ip netip.Addr) (permit *connection.Permit, why protocol.Refusal, queues bool) {
	if s.options().MaxWait <= 0 {
		permit, why = s.admission.Admit(ip)
		return permit, why, false
	}
	if s.queue.len() == 0 {
		permit, why = s.admission.Admit(ip)
	} else { // no client overtakes those that wait
		why = s.admission.Refusal(ip)
	}
	return permit, why, permit == nil && why == protocol.RefusalNone
}

// enqueue makes a client wait, or turns it away if too many wait.
func (s *server) enqueue(c client, ip netip.Addr, begin func(*connection.Permit)) {
	o := s.options()
	if !s.queue.add(&queuedClient{client: c, ip: ip, until: time.Now().Add(o.MaxWait), begin: begin}, o.mostQueued()) {
		s.refuse(c, s.admission.ShortOf())
		return
	}
	if s.mode.Load() == refusing { // and those that wait may have been turned away before
		s.turnQueueAway()
	}
	s.serveQueueSoon() // a permit may have come free in between, and its time runs
}

// serveQueueSoon serves the queue on a goroutine of the pool, if there is anything to serve. Any
// goroutine may call it.
func (s *server) serveQueueSoon() {
	if s.queue.len() > 0 {
		s.pool.Schedule(s.serveQueue)
	}
}

// serveQueue gives permits to the clients that wait, those that came first before the others, and
// turns away the ones that have waited for too long.
func (s *server) serveQueue() {
	if !s.enter() { // the end turns all of them away
		return
	}
	defer s.leave()
	if !s.queue.enter() {
		return
	}
	for {
		for s.mode.Load() == accepting && s.serveFirst() {
			continue
		}
		late, next := s.queue.expired(time.Now())
		for _, c := range late {
			s.turnAway(c, s.admission.ShortOf())
		}
		s.queue.timer.stop()
		if !next.IsZero() {
			s.queue.timer.start(time.Until(next), s.serveQueueSoon)
		}
		if s.queue.leave() {
			return
		}
	}
}

// serveFirst returns false if the client in front has to go on waiting, or there is none.
func (s *server) serveFirst() bool {
	c := s.queue.first()
	if c == nil || !c.until.After(time.Now()) {
		return false
	}
	permit, why := s.admission.Admit(c.ip)
	switch {
	case permit == nil && why == protocol.RefusalNone:
		return false
	case !s.queue.remove(c): // turned away meanwhile
		if permit != nil {
			permit.Leave()
		}
	case why != protocol.RefusalNone:
		s.turnAway(c, why)
	default:
		_ = guarded(func() { c.begin(permit) })
	}
	return true
}

// turnAway is refuse for a goroutine of ours: a net.Conn of the user's may panic there.
func (s *server) turnAway(c *queuedClient, why protocol.Refusal) {
	_ = guarded(func() { s.refuse(c.client, why) })
}

// turnQueueAway ends the waiting of all.
func (s *server) turnQueueAway() {
	for _, c := range s.queue.all() {
		s.turnAway(c, s.admission.ShortOf())
	}
}

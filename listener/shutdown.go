package listener

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/seam"
)

// ShutdownError says that a shutdown was not orderly: its deadline passed, or it was cancelled, or
// Close cut it off. It matches os.ErrDeadlineExceeded.
type ShutdownError struct {
	// Interrupted is the number of connections that had work under way when their time was over: a
	// handler call, writes that the kernel had not taken, or bytes that had come or gone within
	// DrainQuiet (off: 1 s). They were closed in an orderly way, after that work or in the middle
	// of it, or aborted.
	Interrupted int
	// Aborted is the number of connections that were reset, Stuck ones included.
	Aborted int
	// Stuck names the connections whose handler has not returned. Their sockets are closed. For
	// each a goroutine and the actor that it runs remain until the handler returns.
	Stuck []*actor.PID
}

// Error counts.
func (e *ShutdownError) Error() string {
	text := fmt.Sprintf("berth: shutdown deadline passed, %d connections aborted", e.Aborted)
	if e.Interrupted > 0 {
		text += fmt.Sprintf(", %d interrupted with work under way", e.Interrupted)
	}
	if len(e.Stuck) > 0 {
		text += fmt.Sprintf(", %d handlers have not returned, the first is %s", len(e.Stuck), e.Stuck[0].GetId())
	}
	return text
}

// Unwrap returns os.ErrDeadlineExceeded.
func (e *ShutdownError) Unwrap() error { return os.ErrDeadlineExceeded }

const (
	// closeEarly is how long before the deadline, at most, connections are asked to close in an
	// orderly way.
	closeEarly = time.Second
	// grace is the time that aborted connections get to end. They wait only for their handlers.
	grace = time.Second
	// callbackGrace is how long the end waits for a subscriber or an alarm: less than grace,
	// because a connection's turn may wait for one. Once one has not returned in time, the others
	// get shortGrace.
	callbackGrace = grace / 2
	shortGrace    = 10 * time.Millisecond
	// joinGrace is how long it waits for other goroutines that may be in the user's code.
	joinGrace = 5 * time.Second
)

// ending is the end of a listener: what was asked for, how far it is, what it cut off.
type ending struct {
	asked     chan struct{}   // closed when the end is asked for
	asking    sync.Once       // closes it
	absent    atomic.Int64    // callbacks that the end waits for no longer
	deadlines chan time.Time  // a shutdown's deadline, and every earlier one that hurries it
	life      context.Context // cancelled when accepting ends for good
	endLife   context.CancelFunc
	draining  chan struct{}  // closed when the connections know that they drain
	intent    atomic.Uint32  // see begins
	cut       ShutdownError  // what the end cut off; written before drained is closed, as outcome
	outcome   *ShutdownError // the answer to Shutdown and Close; nil: all is well
	drained   chan struct{}
	stopped   chan struct{} // closed when the supervisor has stopped
	done      chan struct{} // closed when nothing of ours is left
}

func newEnding() ending {
	life, endLife := context.WithCancel(context.Background())
	return ending{
		asked:     make(chan struct{}),
		deadlines: make(chan time.Time, 1),
		life:      life,
		endLife:   endLife,
		draining:  make(chan struct{}),
		drained:   make(chan struct{}),
		stopped:   make(chan struct{}),
		done:      make(chan struct{}),
	}
}

// stopBy sets the deadline of the shutdown, or hurries one that goes on. Zero means ShutdownTimeout
// from now.
func (s *server) stopBy(deadline time.Time) {
	s.asking.Do(func() { close(s.asked) })
	if deadline.IsZero() {
		timeout := s.options().ShutdownTimeout
		if timeout < 0 {
			return
		}
		deadline = time.Now().Add(timeout)
	}
	for {
		select {
		case s.deadlines <- deadline:
			return
		case other := <-s.deadlines: // it has not been read yet: the earlier one counts
			if other.Before(deadline) {
				deadline = other
			}
		}
	}
}

// drain is the whole end of serving: no more accepts, then the connections, in order of patience.
// It returns when the last one has ended or cannot be waited for.
func (s *server) drain() {
	s.asking.Do(func() { close(s.asked) })
	s.stopAccepting()
	d := &drainer{server: s, spawner: s.spawner.Load()}
	select {
	case d.deadline = <-s.deadlines:
	default:
		s.stopBy(time.Time{})
		select {
		case d.deadline = <-s.deadlines:
		default: // without limit
		}
	}
	s.publish(&DrainStarted{Addr: s.addr, Open: d.spawner.Len(), Deadline: d.deadline})
	d.run()
	s.cut = ShutdownError{Interrupted: d.interrupted, Aborted: d.aborted, Stuck: d.stuck()}
	asked := s.intent.Load() == toAbort // then only handlers that do not return are worth an error
	if len(s.cut.Stuck) > 0 || !asked && d.interrupted+d.aborted > 0 {
		s.outcome = &s.cut
	}
	close(s.drained)
}

// The intents of a shutdown: what its first caller wanted.
const (
	toDrain uint32 = iota + 1
	toAbort
)

// begins stores what the caller wants. The first caller decides: there is one end, and all callers
// get one answer.
func (s *ending) begins(intent uint32) { s.intent.CompareAndSwap(0, intent) }

// drainer brings the connections to their end: Draining and time, an orderly close, an abort.
type drainer struct {
	server   *server
	spawner  *connection.Spawner
	deadline time.Time // zero: none
	closeAt  time.Time // when the time for draining is over; moves with the deadline only

	looks       looks
	interrupted int // connections with work under way at closeAt
	aborted     int
}

// run goes through the phases, each ended by its time or by the end of the last connection.
func (d *drainer) run() {
	d.setDeadline(d.deadline)
	d.spawner.SetDeadline(d.closeAt)
	close(d.server.draining)
	over := !d.closeAt.IsZero() && !time.Now().Before(d.closeAt)
	if over { // counted first: Draining is no work
		d.interrupted = d.looks.underWay(d.spawner.Live())
	}
	d.looks.begin(d.window(), d.spawner.Live())
	d.each((*connection.Connection).Drain)
	if d.ends(&d.closeAt) {
		return
	}
	d.looks.end()
	if !over {
		d.interrupted = d.looks.underWay(d.spawner.Live())
	}
	d.each((*connection.Connection).Shutdown)
	if d.ends(&d.deadline) {
		return
	}
	d.aborted = d.spawner.Len()
	d.each((*connection.Connection).Kill)
	last := time.Now().Add(grace)
	d.ends(&last)
}

// setDeadline puts closeAt a tenth of the time that is left before the deadline, and at most
// closeEarly before it.
func (d *drainer) setDeadline(deadline time.Time) {
	d.deadline, d.closeAt = deadline, deadline
	if !deadline.IsZero() {
		d.closeAt = deadline.Add(-min(closeEarly, max(0, time.Until(deadline)/10)))
	}
}

func (d *drainer) each(do func(*connection.Connection)) {
	for _, c := range d.spawner.Live() {
		do(c)
	}
}

// ends waits until the last connection has ended, and returns true, or until the time has come, and
// returns false. The time is a pointer, because an earlier deadline may come meanwhile.
func (d *drainer) ends(at *time.Time) bool {
	for {
		if d.server.empty() {
			return true
		}
		// Of several that are ready, select takes any: these first.
		select {
		case earlier := <-d.server.deadlines:
			d.hurry(earlier)
			continue
		default:
		}
		now := time.Now()
		if !at.IsZero() && !now.Before(*at) {
			return false
		}
		if next := d.looks.next; !next.IsZero() && !now.Before(next) {
			d.looks.look(d.spawner.Live())
			continue
		}
		timer := newDeadline(first(*at, d.looks.next))
		wait := seam.Wait()
		select {
		case <-d.server.ended:
			wait.Over()
		case earlier := <-d.server.deadlines:
			wait.Over()
			d.hurry(earlier)
		case <-timer.C:
			wait.Over()
		}
		timer.Stop()
	}
}

func (d *drainer) hurry(earlier time.Time) {
	if d.deadline.IsZero() || earlier.Before(d.deadline) {
		d.setDeadline(earlier)
	}
}

// window is how long nothing may have moved on a connection that counts as quiet.
func (d *drainer) window() time.Duration {
	if quiet := d.server.options().Connection.DrainQuiet; quiet > 0 {
		return quiet
	}
	return time.Second
}

// first returns the earlier of two moments, of which zero is none.
func first(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// newDeadline returns a timer for a moment. For zero it never fires.
func newDeadline(at time.Time) *time.Timer {
	if at.IsZero() {
		timer := time.NewTimer(time.Hour)
		timer.Stop()
		return timer
	}
	return time.NewTimer(time.Until(at))
}

func (d *drainer) stuck() []*actor.PID {
	var pids []*actor.PID
	for _, c := range d.spawner.Live() {
		pids = append(pids, c.PID())
	}
	return pids
}

// reap waits for the supervisor's end and then for everything that is not an actor.
func (s *server) reap() {
	wait := seam.Wait()
	<-s.stopped
	wait.Over()
	for s.open() > 0 { // handlers that have not returned: their ends still need the pool and the loops
		wait := seam.Wait()
		<-s.ended
		wait.Over()
	}
	s.pool.Close()
	_ = s.callWithin(joinGrace, joinGrace, s.join)
	s.publish(&Stopped{
		Addr: s.addr, Interrupted: s.cut.Interrupted, Aborted: s.cut.Aborted, Stuck: len(s.cut.Stuck),
		Absent: int(s.absent.Load()),
	})
	close(s.done)
}

// join waits for the goroutines that run the user's code beside the actors: the callbacks of TLS, a
// net.Conn of the user's, late completions. It waits for a goroutine that does not return no longer
// than for any callback.
func (s *server) join() {
	wait := seam.Wait()
	s.connects.running.Wait()
	s.readers.Wait()
	s.pool.Wait()
	wait.Over()
	if s.polling != nil {
		s.polling.close()
	}
	wait = seam.Wait()
	s.sweeping.Wait()
	wait.Over()
}

// sweepSooner makes the sweep look at its interval again.
func (s *server) sweepSooner() {
	select {
	case s.sooner <- struct{}{}:
	default:
	}
}

// sweep looks for connections that take too long, until the supervisor has stopped.
func (s *server) sweep() {
	defer s.sweeping.Done()
	spawner := s.spawner.Load()
	draining := s.draining
	last := time.Now()
	wait := spawner.Interval()
	for {
		select { // of several that are ready, the select below takes any: these first
		case <-s.stopped:
			return
		case <-draining:
			draining = nil // draining needs a shorter interval
			wait = min(wait, spawner.Interval())
			continue
		case <-s.sooner:
			wait = min(wait, spawner.Interval())
			continue
		default:
		}
		timer := time.NewTimer(wait - time.Since(last))
		turn := seam.Wait()
		select {
		case <-timer.C:
			turn.Over()
			spawner.Sweep()
			last, wait = time.Now(), spawner.Interval()
		case <-s.budget.Kicked():
			turn.Over()
			wait = min(wait, connection.ReclaimInterval)
		case <-draining:
			turn.Over()
			draining = nil
			wait = min(wait, spawner.Interval())
		case <-s.sooner:
			turn.Over()
			wait = min(wait, spawner.Interval())
		case <-s.stopped:
			turn.Over()
		}
		timer.Stop()
	}
}

package connection

import "time"

// watch is what the sweep remembers of a connection between two looks. The hot path reads no clock and keeps no timer: it counts
// bytes anyway, and the sweep sees whether the counts have moved. All times are on the sweep's clock.
type watch struct {
	phase     uint16 // what is observed of Connection.phase
	spread    uint16 // where in MaxAge's tolerance this connection's own limit lies; it never changes
	aged      bool   // MaxAge was signalled
	idle      bool   // nothing was pending
	retried   uint8  // for which kinds of progress the last try was made, since the last progress of that kind
	traffic   uint32 // bytes; the low bits tell that there are more
	written   uint32 // of those, written
	since     time.Duration
	trafficAt time.Duration
	writtenAt time.Duration
}

// notOpen instead of a time of traffic: a handshake is none, and what is counted from begins after it.
const notOpen = -1

func newWatch(now time.Duration, spread uint16) watch {
	return watch{spread: spread, idle: true, since: now, trafficAt: now, writtenAt: now}
}

// look signals what took too long. Only network traffic counts: messages to the actor do not keep a connection alive. step is how
// long ago the last look was: a look that finds the handler at work does not count that time. One goroutine sweeps, so nothing here is shared.
func (c *Connection) look(now, step time.Duration) {
	w, o, phase := &c.watch, &c.shared.options, uint16(c.phase.Load()&observed)
	if phase != w.phase {
		w.phase, w.since = phase, now
	}
	s, half := state(phase%uint16(halfClosed)), phase&uint16(halfClosed) != 0
	late := func(limit time.Duration, since time.Duration) bool { return limit > 0 && now-since >= limit }
	aged := s == open && o.MaxAge > 0 && c.age(now) >= c.ageLimit()
	leaving := aged || half || s == open && c.shared.draining()
	idle := c.credit.idle()
	c.lookAtTraffic(s, now, idle)
	busy := s == open && (leaving || o.IdleTimeout > 0) && c.mailbox.Busy()
	if busy || s == open && !leaving && !c.listening() {
		w.trafficAt = min(w.trafficAt+step, now)
	}
	if aged && !w.aged {
		w.aged = true
		c.makeRare().agedAt.Store(int64(now))
		c.signal(signalAged)
	}
	switch {
	case s == opening && late(o.HandshakeTimeout, w.since):
		c.signal(signalUnfinished)
	case s == open && late(o.IdleTimeout, w.trafficAt) && !busy && c.listening():
		c.lacks(anyProgress, signalIdle)
	case s == open && late(o.WriteTimeout, w.writtenAt):
		c.lacks(writeProgress, signalStall)
	case half && late(o.HalfCloseTimeout, max(w.trafficAt, w.since)):
		c.lacks(anyProgress, signalHalf)
	case aged && late(o.MaxAgeGrace, c.agedAt()):
		c.signal(signalOverdue)
	case s == open && idle && (aged || c.shared.draining()) && late(o.DrainQuiet, w.trafficAt):
		c.signal(signalQuiet)
	case (s == flushing || s == closing) && late(o.CloseTimeout, w.since):
		c.signal(signalLate)
	case s == closing && c.shared.draining() && late(o.DrainQuiet, max(w.trafficAt, w.since)):
		c.signal(signalLate) // a server that shuts down does not wait long for a FIN that may never come
	}
}

// lookAtTraffic takes note of what has moved since the last look.
func (c *Connection) lookAtTraffic(s state, now time.Duration, idle bool) {
	w := &c.watch
	came, went := c.socket.Progress() // also bytes inside calls that have not returned
	written := uint32(c.written.Load() + went)
	switch traffic := uint32(c.read.Load()+came) + written; {
	case s == opening:
		w.trafficAt = notOpen
	case traffic != w.traffic || w.trafficAt == notOpen:
		w.traffic, w.trafficAt = traffic, now
		w.retried &^= anyProgress
	}
	if written != w.written || idle || w.idle { // what was not pending at the last look counts from now
		w.written, w.writtenAt = written, now
		w.retried = 0
	} else {
		c.socket.Retry(false) // the kernel may have a little room, and not tell
	}
	if c.writer.ordered(starved) {
		w.writtenAt = now // the peer is offered nothing
	}
	w.idle = idle
}

// Kinds of progress.
const (
	anyProgress uint8 = 1 << iota
	writeProgress
)

// lacks signals that a limit has passed without progress of a kind. Where a write waits for room it is tried a last time before, and the
// next look decides: the peer may have taken bytes of which the kernel, or the net.Conn, has not told yet.
func (c *Connection) lacks(kind uint8, bit uint32) {
	w := &c.watch
	if w.idle || w.retried&kind != 0 {
		c.signal(bit)
		return
	}
	w.retried |= kind
	c.socket.Retry(true)
}

// listening reports that the connection would read what the peer sends: neither its handler nor the memory budget keeps it from that.
// Any goroutine may ask.
func (c *Connection) listening() bool {
	if !c.willing() {
		return false
	}
	r := c.rare.Load()
	return r == nil || !r.holding.Load() && (r.share == nil || !r.share.waiting.Load())
}

// Sweep looks at every live connection once. One goroutine calls it, every Interval or so.
func (s *Spawner) Sweep() {
	real := s.now()
	now := s.clock.sweep(real)
	s.behind = real - now
	s.swept = s.appendLive(s.swept[:0])
	for _, c := range s.swept {
		c.look(now, now-s.sweptAt)
	}
	s.sweptAt = now
	if s.budget != nil {
		s.budget.relieve(s.swept, now)
	}
	clear(s.swept) // keep no ended connection reachable
	s.clock.allow(s.untilNext())
}

// Interval returns how often to Sweep so that no limit is overrun by more than an eighth of itself (or 10 ms): the beginning
// of a wait is seen up to one interval late, and so is its end. Where a write waits it is one interval more; see lacks.
func (s *Spawner) Interval() time.Duration { return s.interval(s.shortestLimit()) }

func (s *Spawner) interval(shortest time.Duration) time.Duration {
	interval := max(shortest/16, 5*time.Millisecond)
	if s.budget != nil && s.budget.Waiting() > 0 {
		interval = min(interval, ReliefInterval)
	}
	return interval
}

// untilNext returns how long after this sweep the next one may come without being late.
func (s *Spawner) untilNext() time.Duration {
	shortest := s.shortestLimit()
	interval := s.interval(shortest)
	return interval + slack(interval, shortest)
}

func (s *Spawner) shortestLimit() time.Duration {
	shortest := time.Duration(s.shortest.Load())
	if quiet := s.current.Load().options.DrainQuiet; s.draining() && quiet > 0 {
		shortest = min(shortest, quiet)
	}
	return shortest
}

// noteLimits makes the sweep often enough for connections with these options. They may live for long, so later
// options do not make it less often.
func (s *Spawner) noteLimits(o *Options) {
	shortest := 4 * time.Second
	if s.budget != nil && s.budget.limits.Timeout > 0 {
		shortest = min(shortest, s.budget.limits.Timeout)
	}
	if before := time.Duration(s.shortest.Load()); before > 0 {
		shortest = before
	}
	limits := []time.Duration{o.HandshakeTimeout, o.IdleTimeout, o.WriteTimeout, o.CloseTimeout, o.HalfCloseTimeout}
	if o.MaxAge > 0 {
		limits = append(limits, o.MaxAge, o.MaxAgeGrace, o.DrainQuiet)
	}
	for _, limit := range limits {
		if limit > 0 {
			shortest = min(shortest, limit)
		}
	}
	s.shortest.Store(int64(shortest))
}

package connection

import (
	"math"
	"time"

	"github.com/go-berth/berth/protocol"
)

// timing holds what the sweep remembers of a connection between two looks. The hot path reads no
// clock and keeps no timer: it counts bytes anyway, and the sweep sees whether the counts have
// moved. All times are on the sweep's clock.
type timing struct {
	phase     uint16 // what is observed of Connection.phase
	spread    uint16 // where in MaxAge's tolerance this connection's own limit lies; it never changes
	aged      bool   // MaxAge was signalled
	idle      bool   // nothing was pending
	held      uint8  // the limits for which time did not count; see hold
	retried   uint8  // for which kinds of progress the last try was made, since the last progress of that kind
	traffic   uint32 // bytes; the low bits tell that there are more
	written   uint32 // of those, written
	trafficAt time.Duration
	writtenAt time.Duration
	since     time.Duration // when the phase was first seen; in open when the peer last sent, if that is later
}

// notOpen stands in place of a time of traffic: a handshake is no traffic, and time is counted from
// its end.
const notOpen = -1

func newTiming(now time.Duration, spread uint16) timing {
	return timing{spread: spread, idle: true, since: now, trafficAt: now, writtenAt: now}
}

// checkTimeouts signals the limits that have passed. Only network traffic counts: messages to the
// actor do not keep a connection alive. step is how long ago the last look was; see hold for when
// that time does not count. One goroutine sweeps, so nothing here is shared.
func (c *Connection) checkTimeouts(now, step time.Duration) {
	w, o := &c.timing, &c.shared.options
	phase := c.phase.Load()
	c.checkForEnd(phase)
	s, half := state(phase%halfClosed), phase&halfClosed != 0
	idle := c.credit.idle()
	late := func(limit time.Duration, since time.Duration) bool { return limit > 0 && now-since >= limit }
	c.noteTraffic(phase, now, idle)
	limits := c.limitsInForce(s, now)
	aged := s == open && limits.MaxAge > 0 && c.age(now) >= c.ageLimit(limits.MaxAge)
	leaving := aged || half || s == open && c.shared.draining()

	salvages := s == flushing && phase&salvaging != 0
	if s == closing || salvages {
		c.shared.closing.Store(true)
	}

	// Does the server wait for the peer, or the peer for the server?
	busy := s == open && (leaving || limits.Idle > 0 || limits.Read > 0) && c.mailbox.Busy()
	listening := c.listening() && phase&securing == 0
	reading := s == open && !busy && listening && c.writesQuiet() && phase&inputOver == 0
	if w.hold(heldIdle, busy || s == open && !leaving && !listening) {
		w.trafficAt = min(w.trafficAt+step, now)
	}
	if w.hold(heldRead, s == open && !reading) && s == open {
		w.since = min(w.since+step, now)
	}

	if aged != w.aged {
		w.aged = aged
		if aged {
			c.makeRare().agedAt.Store(int64(now))
			c.signal(signalAged)
		}
	}
	switch {
	case s == opening && late(o.HandshakeTimeout, w.since):
		c.signal(signalUnfinished)
	case phase&securing != 0 && c.shaking(phase) && late(o.HandshakeTimeout, c.shakesSince(now)):
		c.signal(signalUnfinished)
		if c.awaitsRoom() {
			c.kill(protocol.ReasonHandshake, protocol.ErrHandshakeTimeout) // a handler that waits for room takes no turn
		}
	case s == open && late(limits.Idle, w.trafficAt) && !busy && listening:
		c.lacks(anyProgress, signalIdle)
	case reading && late(limits.Read, w.since):
		c.signal(signalSilent)
	case s == open && late(o.WriteTimeout, w.writtenAt):
		c.lacks(writeProgress, signalStall)
	case half && late(o.HalfCloseTimeout, w.trafficAt):
		c.lacks(anyProgress, signalHalf)
	case aged && late(o.MaxAgeGrace, c.agedAt()):
		c.signal(signalOverdue)
	case s == open && idle && (aged || c.shared.draining()) && late(o.DrainQuiet, w.trafficAt):
		c.signal(signalQuiet)
	case s == flushing && !salvages && late(o.CloseTimeout, w.since),
		(s == closing || salvages) && late(o.LingerTimeout, w.since),
		s == closing && c.noFIN() && late(lastWords, w.since):
		c.signal(signalLate)
	case s == closing && c.shared.draining() && late(o.DrainQuiet, max(w.trafficAt, w.since)):
		c.signal(signalLate) // a server that shuts down does not wait long for a FIN that may never come
	}
}

// noteTraffic notes what has moved since the last look.
func (c *Connection) noteTraffic(phase uint32, now time.Duration, idle bool) {
	w, s := &c.timing, state(phase%halfClosed)
	came, went := c.conn().Progress() // also bytes inside calls that have not returned
	came += c.read.Load()
	went += c.written.Load()
	if phase := uint16(phase & observed); phase != w.phase {
		if s == open && phase&^w.phase&uint16(halfClosed) != 0 { // a half-close, which may come before the first look
			w.idleFrom(now)
		}
		w.phase = phase
		w.waitFrom(now)
	} else if s == open && came&math.MaxUint32 != uint64(w.traffic-w.written) {
		w.waitFrom(now)
	}
	written := uint32(went)
	switch traffic := uint32(came) + written; {
	case s == opening:
		w.trafficAt = notOpen
	case traffic != w.traffic || w.trafficAt == notOpen:
		w.idleFrom(now)
		w.retried &^= anyProgress
	}
	w.traffic = uint32(came) + written
	if written != w.written || idle || w.idle { // writes that were not pending at the last look count from now
		w.writtenAt = now
		w.retried = 0
	} else {
		c.conn().Retry(false) // the kernel may have a little room, and not tell
	}
	if starves := c.writer.ordered(starved | barred); w.swap(heldWrite, starves) || starves {
		w.writtenAt = now // the peer was offered nothing
	}
	w.written, w.idle = written, idle
}

// Limits for which time does not count unless the connection waits for the peer.
const (
	heldIdle uint8 = 1 << iota
	heldRead
	heldWrite
	// leftOut shifts them: since the limit's time began, the time between a look that found it held
	// and the next one has been left out once.
	leftOut = 4
)

// hold notes whether a limit is held at this look, and reports whether the time since the look
// before does not count. That is so if the limit is held now. It is so once if it was held at the
// look before, so that the limit does not come early. Otherwise a handler that works often would be
// found at work twice as often as it is.
func (w *timing) hold(limit uint8, held bool) bool {
	if before := w.swap(limit, held); held || !before || w.held&(limit<<leftOut) != 0 {
		return held
	}
	w.held |= limit << leftOut
	return true
}

// swap notes whether a limit is held, and reports whether it was at the look before.
func (w *timing) swap(limit uint8, held bool) (before bool) {
	before = w.held&limit != 0
	w.held &^= limit
	if held {
		w.held |= limit
	}
	return before
}

// idleFrom begins the time of IdleTimeout, HalfCloseTimeout and DrainQuiet anew.
func (w *timing) idleFrom(now time.Duration) {
	w.trafficAt = now
	w.held &^= heldIdle << leftOut
}

// waitFrom begins the time of ReadTimeout, and of the limits of a phase, anew.
func (w *timing) waitFrom(now time.Duration) {
	w.since = now
	w.held &^= heldRead << leftOut
}

// lastWords is how long a connection that cannot send FIN without closing waits for what its peer
// may have sent.
const lastWords = 10 * time.Millisecond

// Kinds of progress.
const (
	anyProgress uint8 = 1 << iota
	writeProgress
)

// lacks signals that a limit has passed without progress of a kind. A write that waits for room is
// tried a last time before, and the next look decides: the peer may have taken bytes of which the
// kernel, or the net.Conn, has not told yet.
func (c *Connection) lacks(kind uint8, bit uint32) {
	w := &c.timing
	if w.idle || w.retried&kind != 0 {
		c.signal(bit)
		if bit == signalStall && c.awaitsRoom() {
			c.kill(protocol.ReasonWriteTimeout, protocol.ErrWriteTimeout) // a handler that waits for room takes no turn
		}
		return
	}
	w.retried |= kind
	c.conn().Retry(true)
}

// listening reports whether the connection would read what the peer sends: neither its handler nor
// the memory budget keeps it from reading. Any goroutine may call it.
func (c *Connection) listening() bool {
	if !c.willing() {
		return false
	}
	r := c.rare.Load()
	return r == nil || !r.holding.Load() && (r.share == nil || !r.share.waiting.Load())
}

// Sweep looks at every live connection once. One goroutine calls it, every Interval or so.
func (s *Spawner) Sweep() {
	moment := s.now()
	now := s.clock.sweep(moment)
	s.behind = moment - now
	s.own.Store(0)
	s.closing.Store(false)
	s.swept = s.appendLive(s.swept[:0])
	for _, c := range s.swept {
		c.checkTimeouts(now, now-s.sweptAt)
	}
	s.warn(s.swept, now)
	s.sweptAt = now
	if s.budget != nil {
		s.budget.reclaim(s.swept, now)
	}
	clear(s.swept) // keep no ended connection reachable
	s.clock.allow(s.untilNext())
}

// Interval returns how often to Sweep so that no limit is overrun by more than an eighth of itself
// (or 10 ms): the beginning of a wait is seen up to one interval late, and so is its end. Where a
// write waits it is one interval more; see lacks.
func (s *Spawner) Interval() time.Duration { return s.interval(s.shortestLimit()) }

func (s *Spawner) interval(shortest time.Duration) time.Duration {
	interval := max(shortest/16, 5*time.Millisecond)
	if s.budget != nil && s.budget.Waiting()+s.budget.Wanting() > 0 {
		interval = min(interval, ReclaimInterval)
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
	lower(&shortest, time.Duration(s.own.Load()))
	if s.closing.Load() {
		lower(&shortest, time.Duration(s.shortestLinger.Load()))
	}
	if quiet := s.current.Load().options.DrainQuiet; s.draining() && quiet > 0 {
		shortest = min(shortest, quiet)
	}
	return shortest
}

// noteLimits makes the sweep often enough for connections with these options. They may live for
// long, so later options do not make it less often.
func (s *Spawner) noteLimits(o *Options) {
	s.noting.Lock()
	defer s.noting.Unlock()
	shortest := 4 * time.Second
	if s.budget != nil {
		lower(&shortest, s.budget.limits.Timeout)
	}
	lower(&shortest, time.Duration(s.shortest.Load()))
	lower(&shortest, o.HandshakeTimeout, o.IdleTimeout, o.ReadTimeout, o.WriteTimeout, o.CloseTimeout, o.HalfCloseTimeout)
	if o.MaxAge > 0 {
		lower(&shortest, o.MaxAge, o.MaxAgeGrace, o.DrainQuiet)
	}
	s.shortest.Store(int64(shortest))
	linger := noLimit
	lower(&linger, time.Duration(s.shortestLinger.Load()), o.LingerTimeout)
	s.shortestLinger.Store(int64(linger))
}

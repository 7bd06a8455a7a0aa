package connection

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// This file finds conditions that hold for long and that an operator should know of. The sweep
// samples the connections, so the hot path has no part in it, and nothing is looked at while the
// event stream has no subscriber.

// WarningKind is what a Warning warns of.
type WarningKind uint8

// The kinds of warnings.
const (
	// WarnHandlerBlocked: a call of the handler has not returned for WarnAfter.
	WarnHandlerBlocked WarningKind = iota
	// WarnPausedReset: the peer has reset the connection, and the handler, which has paused it for
	// WarnAfter, was not shown everything that came before.
	WarnPausedReset
	// WarnQueueFull: the write queue has been full, or above HighWater, for WarnAfter, and the peer
	// has taken less in that time than the queue held.
	WarnQueueFull
	// WarnNoIdleTimeout: a listener on a public address has neither IdleTimeout nor ReadTimeout.
	WarnNoIdleTimeout
	// WarnGroupGrows: a Group has doubled, to 1,024 members or more, and no member has left
	// meanwhile.
	WarnGroupGrows
)

var warnings = [...]struct{ name, advice string }{
	WarnHandlerBlocked: {
		"handler blocked",
		"Look for the call in a goroutine profile, and bound its wait by a timeout; until it returns, this connection reads nothing.",
	},
	WarnPausedReset: {
		"paused, and the peer is gone",
		"Resume the connection, or close it in Closing; until then it holds its memory and its permit, as long as LingerTimeout allows.",
	},
	WarnQueueFull: {
		"write queue full",
		"Send less to this peer, drop what is stale by SlowDropNewest, or close it by SlowClose or a shorter WriteTimeout.",
	},
	WarnNoIdleTimeout: {
		"no idle timeout on a public address",
		"Set Connection.IdleTimeout or Connection.ReadTimeout: without one, silent clients hold their permits for ever.",
	},
	WarnGroupGrows: {
		"a group grows",
		"Remove members that no longer take part; if so many are meant to, bound them by MaxConnections.",
	},
}

// String returns the kind in words.
func (k WarningKind) String() string {
	if int(k) < len(warnings) {
		return warnings[k].name
	}
	return fmt.Sprintf("warning %d", uint8(k))
}

// MarshalText returns the same as String, so that JSON has words.
func (k WarningKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Advice returns a sentence that says what to do.
func (k WarningKind) Advice() string {
	if int(k) < len(warnings) {
		return warnings[k].advice
	}
	return ""
}

// Warning is published on the actor system's EventStream when a condition has held for long, and
// once more, with Over, when it holds no more. Warnings about groups have no end.
type Warning struct {
	Kind       WarningKind
	Addr       net.Addr      // the listener's
	PID        *actor.PID    // the connection's; nil: it is about the listener, or a group
	RemoteAddr net.Addr      // likewise
	For        time.Duration // how long it has held, give or take the sweep's interval
	Members    int           // of the group
	Over       bool
}

// sampled is how many kinds the sweep finds.
const sampled = 3

// suspect is what the sweep remembers of a connection to which a warning may apply.
type suspect struct {
	look   uint64                 // the last one that saw a reason
	since  [sampled]time.Duration // on the sweep's clock; unsuspected: not now
	raised [sampled]bool
	turn   uint8  // the one under way
	left   uint64 // how many bytes the peer must take to be no suspect
}

const unsuspected = -1

// held is a warning that was raised and is not over.
type held struct {
	Warning
	began time.Time
}

type heldBy struct {
	connection *Connection
	kind       WarningKind
}

// warner finds the warnings of one Spawner's connections.
type warner struct {
	looks    uint64 // the sweep's, as suspects
	suspects map[*Connection]*suspect

	mu      sync.Mutex
	held    map[heldBy]held
	news    []*Warning // not published yet
	telling bool       // another goroutine publishes them
}

// Warnings returns those that have been raised and are not over. None is raised while the event
// stream has no subscriber. Any goroutine may call it.
func (s *Spawner) Warnings() []Warning {
	w := &s.warner
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Warning, 0, len(w.held))
	for _, h := range w.held {
		warning := h.Warning
		warning.For += time.Since(h.began)
		all = append(all, warning)
	}
	return all
}

// warn looks at the connections once; the sweep calls it. now is on the sweep's clock.
func (s *Spawner) warn(live []*Connection, now time.Duration) {
	w := &s.warner
	if !s.heard((*Warning)(nil)) {
		for c, suspect := range w.suspects {
			s.clear(c, suspect, now)
		}
		return
	}
	w.looks++
	for _, c := range live {
		if after := c.shared.options.WarnAfter; after > 0 {
			s.suspect(c, now, after)
		}
	}
	for c, suspect := range w.suspects {
		if suspect.look != w.looks {
			s.clear(c, suspect, now)
		}
	}
}

// suspect looks at one connection.
func (s *Spawner) suspect(c *Connection, now, after time.Duration) {
	w := &s.warner
	turn, inside := c.mailbox.Turn()
	state := c.state()
	paused := (state == open || state == flushing) && !c.willing()
	full := state == open && c.credit.high()
	one := w.suspects[c]
	if !inside && !paused && !full {
		return // if it is a suspect, it is cleared
	}
	if one == nil {
		one = &suspect{since: [sampled]time.Duration{unsuspected, unsuspected, unsuspected}}
		if w.suspects == nil {
			w.suspects = map[*Connection]*suspect{}
		}
		w.suspects[c] = one
	}
	one.look = w.looks
	if !inside || one.turn != turn {
		s.absolve(c, one, WarnHandlerBlocked, now)
	}
	one.turn = turn
	written := c.written.Load()
	if !full || written >= one.left {
		s.absolve(c, one, WarnQueueFull, now)
		_, queued := c.credit.pending()
		one.left = written + uint64(max(queued, 1))
	}
	s.find(c, one, WarnHandlerBlocked, inside, true, now, after)
	s.find(c, one, WarnPausedReset, paused, c.salvaging(), now, after)
	s.find(c, one, WarnQueueFull, full, true, now, after)
	c.noteBlocked(one.since[WarnHandlerBlocked], now)
}

// find raises a warning once its condition has held for long; raise says whether there is anything
// to warn of then.
func (s *Spawner) find(c *Connection, one *suspect, kind WarningKind, holds, raise bool, now, after time.Duration) {
	switch {
	case !holds:
		s.absolve(c, one, kind, now)
	case one.since[kind] == unsuspected:
		one.since[kind] = now
	case raise && !one.raised[kind] && now-one.since[kind] >= after:
		one.raised[kind] = true
		s.tell(c, kind, now-one.since[kind], false)
	}
}

// absolve notes that a condition does not hold.
func (s *Spawner) absolve(c *Connection, one *suspect, kind WarningKind, now time.Duration) {
	if kind == WarnHandlerBlocked {
		c.noteBlocked(unsuspected, now)
	}
	if one.raised[kind] {
		s.tell(c, kind, now-one.since[kind], true)
	}
	one.since[kind], one.raised[kind] = unsuspected, false
}

// clear forgets a suspect.
func (s *Spawner) clear(c *Connection, one *suspect, now time.Duration) {
	for kind := range one.since {
		s.absolve(c, one, WarningKind(kind), now)
	}
	delete(s.warner.suspects, c)
}

// noteBlocked keeps for Info since when the turn under way is known to last, unless it has only
// just been seen.
func (c *Connection) noteBlocked(since, now time.Duration) {
	r := c.rare.Load()
	switch {
	case since != unsuspected && since < now:
		if r == nil {
			r = c.makeRare()
		}
		if r.blockedSince.Load() == 0 {
			r.blockedSince.Store(max(int64(c.shared.now()-(now-since)), 1))
		}
	case r != nil:
		r.blockedSince.Store(0)
	}
}

// blockedFor returns how long the turn under way has lasted, as far as the sweep knows.
func (c *Connection) blockedFor() time.Duration {
	if r := c.rare.Load(); r != nil {
		if since := r.blockedSince.Load(); since > 0 {
			return c.shared.now() - time.Duration(since)
		}
	}
	return 0
}

// tell publishes a warning about a connection.
func (s *Spawner) tell(c *Connection, kind WarningKind, lasted time.Duration, over bool) {
	warning := Warning{Kind: kind, Addr: s.addr, PID: c.pid, RemoteAddr: c.RemoteAddr(), For: lasted, Over: over}
	w := &s.warner
	w.mu.Lock()
	key := heldBy{c, kind}
	if over {
		delete(w.held, key)
	} else {
		if w.held == nil {
			w.held = map[heldBy]held{}
		}
		w.held[key] = held{warning, time.Now()}
	}
	w.mu.Unlock()
	s.publishWarning(&warning)
}

// publishWarning publishes a warning on a goroutine of the listener's own, behind those before it.
// Any goroutine may call it, whatever locks it holds.
func (s *Spawner) publishWarning(warning *Warning) {
	w := &s.warner
	w.mu.Lock()
	w.news = append(w.news, warning)
	begins := !w.telling
	w.telling = true
	w.mu.Unlock()
	if begins {
		s.later(s.publishWarnings)
	}
}

func (s *Spawner) publishWarnings() {
	w := &s.warner
	for {
		w.mu.Lock()
		news := w.news
		w.news = nil
		w.telling = len(news) > 0
		w.mu.Unlock()
		if len(news) == 0 {
			return
		}
		for _, warning := range news {
			s.publish(warning)
		}
	}
}

// growsFrom is from how many members on a group is watched.
const growsFrom = 1024

// growth finds a group that grows. The group's lock guards it.
type growth struct{ mark int }

// entered reports whether the group, with a new member, has doubled since the mark.
func (g *growth) entered(members int) bool {
	g.mark = max(g.mark, growsFrom/2)
	if members < 2*g.mark {
		return false
	}
	g.mark = members
	return true
}

// left sets the mark anew: the group does not only grow.
func (g *growth) left(members int) { g.mark = members }

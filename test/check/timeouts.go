package check

import (
	"slices"
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// timeouts are the limits of time that a connection may have: the listener's, or its own, or either
// of them while it is not known which.
type timeouts struct {
	set []setting // by when they came
}

// setting is one call of SetTimeouts, or the listener's options.
type setting struct {
	protocol.Timeouts
	by    *operation // nil: the listener's
	until time.Duration
	// From when on its Idle and its Read count, if not from earlier.
	idleFrom, readFrom time.Duration
}

// always is the until of a setting that may still hold.
const always = time.Duration(1<<63 - 1)

// all returns the settings.
func (t *timeouts) all(o *connection.Options) []setting {
	if t.set == nil {
		t.set = []setting{{Timeouts: protocol.Timeouts{Idle: o.IdleTimeout, Read: o.ReadTimeout, MaxAge: o.MaxAge}, until: always}}
	}
	return t.set
}

// own reports whether the connection may have limits of its own.
func (t *timeouts) own() bool { return len(t.set) > 1 || len(t.set) == 1 && t.set[0].by != nil }

// begin notes limits that may hold from now on. One that changes counts from now.
func (t *timeouts) begin(o *connection.Options, by *operation, limits protocol.Timeouts) {
	before := t.all(o)
	listeners := protocol.Timeouts{Idle: o.IdleTimeout, Read: o.ReadTimeout, MaxAge: o.MaxAge}
	s := setting{Timeouts: limits, by: by, until: always, idleFrom: by.at, readFrom: by.at}
	inherit(&s.Idle, listeners.Idle)
	inherit(&s.Read, listeners.Read)
	inherit(&s.MaxAge, listeners.MaxAge)
	for _, b := range before {
		if b.Idle == s.Idle {
			s.idleFrom = min(s.idleFrom, b.idleFrom)
		}
		if b.Read == s.Read {
			s.readFrom = min(s.readFrom, b.readFrom)
		}
	}
	t.set = append(t.set, s)
}

func inherit(limit *time.Duration, listeners time.Duration) {
	if *limit == 0 {
		*limit = listeners
	}
}

// end notes that a call has returned: limits that were set before it began no longer hold. They may
// have ended the connection until now.
func (t *timeouts) end(by *operation, now time.Duration) {
	for i := range t.set {
		if s := &t.set[i]; s.by != by && (s.by == nil || s.by.end < by.begin) {
			s.until = min(s.until, now)
		}
	}
}

// any reports whether one of the settings may have had its effect by now; over says when.
func (t *timeouts) any(o *connection.Options, now time.Duration, over func(s *setting, at time.Duration) bool) bool {
	return slices.ContainsFunc(t.all(o), func(s setting) bool { return over(&s, min(now, s.until)) })
}

// longest returns the longest limit on silence.
func (t *timeouts) longest(o *connection.Options) (limit time.Duration) {
	for _, s := range t.all(o) {
		limit = max(limit, s.Idle, s.Read)
	}
	return limit
}

package listener

import (
	"time"

	"github.com/go-berth/berth/connection"
)

// looks are what a drain remembers of the connections: how many bytes had moved on each, at the
// last two looks. So it can tell at its deadline, which may be moved, on which ones something moves
// still.
type looks struct {
	every        time.Duration
	next         time.Time // zero: no more
	before, last map[*connection.Connection]uint64
	at           time.Time // of last
}

// begin looks, and has the drain look again every so often; end has it look no more.
func (l *looks) begin(every time.Duration, live []*connection.Connection) {
	l.every = every
	l.look(live)
}

func (l *looks) end() { l.next = time.Time{} }

func (l *looks) look(live []*connection.Connection) {
	l.before, l.last, l.at = l.last, make(map[*connection.Connection]uint64, len(live)), time.Now()
	for _, c := range live {
		l.last[c] = c.Moved()
	}
	l.next = l.at.Add(l.every)
}

// underWay counts the connections that have work under way: that work, or on which bytes have moved
// since a look that is at least half of every ago.
func (l *looks) underWay(live []*connection.Connection) (count int) {
	since := l.last
	if l.before != nil && time.Since(l.at) < l.every/2 {
		since = l.before
	}
	for _, c := range live {
		moved, seen := since[c]
		if c.Working() || seen && c.Open() && c.Moved() != moved {
			count++
		}
	}
	return count
}

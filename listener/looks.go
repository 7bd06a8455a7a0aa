package listener

import (
	"time"

	"github.com/go-berth/berth/connection"
)

// looks hold what a drain remembers of the connections: how many bytes had moved on each, at the
// last two looks. So at its deadline, which may change, the drain can tell on which connections
// bytes still move.
type looks struct {
	every        time.Duration
	next         time.Time // zero: no more
	before, last map[*connection.Connection]uint64
	at           time.Time // of last
}

// begin looks, and makes the drain look again at intervals; end stops that.
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

// underWay counts the connections that have work under way. Such a connection works, or bytes have
// moved on it since a look at least half of every ago.
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

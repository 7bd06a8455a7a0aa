package connection

import (
	"maps"
	"slices"
	"time"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// Totals are the counts of all connections of a Spawner, live and ended.
type Totals struct {
	Open         int                        // live ones
	ByState      map[protocol.State]int     // the same by protocol.Info's State
	Detached     int                        // of those, how many were taken out of the count
	Lingering    int                        // of those, how many wait for the peer's FIN without a Permit
	Ended        map[protocol.Reason]uint64 // since the beginning
	Read         uint64                     // bytes, since the beginning
	Written      uint64
	QueuedWrites int // accepted writes that the kernel has not taken
	QueuedBytes  int
	Paused       int // connections that their handlers, or commands, have paused
	Full         int // connections with a full write queue, or one above HighWater
}

// ended are the counts of the connections that have ended; under the Spawner's lock.
type ended struct {
	reasons       map[protocol.Reason]uint64
	read, written uint64
}

func (e *ended) add(c *Connection) {
	if e.reasons == nil {
		e.reasons = map[protocol.Reason]uint64{}
	}
	reason := protocol.ReasonNone
	if why := c.cause.Load(); why != nil {
		reason = why.reason
	}
	e.reasons[reason]++
	e.read += c.read.Load()
	e.written += c.written.Load()
}

// Summary is what a list of connections is sorted by.
type Summary struct {
	Connection *Connection
	Born       time.Duration // when it was accepted, since the spawner was made
	State      protocol.State
	Queued     int
	Read       uint64
	Written    uint64
	HandlerFor time.Duration
}

// Summaries describes every live connection. Any goroutine may call it; no lock is held while it
// looks at them.
func (s *Spawner) Summaries() []Summary {
	live := s.Live()
	all := make([]Summary, len(live))
	for i, c := range live {
		_, queued := c.credit.pending()
		all[i] = Summary{
			Connection: c, Born: c.born, State: c.state(), Queued: queued,
			Read: c.read.Load(), Written: c.written.Load(), HandlerFor: c.blockedFor(),
		}
	}
	return all
}

// Find returns the live connection with this PID's Id, nil if there is none.
func (s *Spawner) Find(id string) *Connection {
	c := connectionOf(s.system, s.system.NewLocalPID(id))
	if c == nil || c.shared.Spawner != s {
		return nil
	}
	return c
}

// Totals looks at every live connection once. Each connection is in it as live or as ended, never
// as both.
func (s *Spawner) Totals() Totals {
	s.mu.Lock()
	live := slices.Clone(s.live)
	t := Totals{
		Open:      len(live),
		ByState:   map[protocol.State]int{},
		Detached:  s.detached,
		Lingering: s.lingerers.count,
		Ended:     maps.Clone(s.ended.reasons),
		Read:      s.ended.read,
		Written:   s.ended.written,
	}
	s.mu.Unlock()
	for _, c := range live {
		writes, bytes := c.credit.pending()
		t.ByState[c.state()]++
		t.Read += c.read.Load()
		t.Written += c.written.Load()
		t.QueuedWrites += writes
		t.QueuedBytes += bytes
		if c.paused.Load() {
			t.Paused++
		}
		if c.credit.high() {
			t.Full++
		}
	}
	return t
}

// MaybeSent returns how many bytes the peer may have got behind those of Stats.Written: over TLS
// several records may be under way at the end, and count as written together. It is for the
// connection's turn, from Closed on.
func (c *Connection) MaybeSent() uint64 {
	if t, is := c.conn().(transport.Unsure); is && c.state() == closed {
		return uint64(t.Unsure())
	}
	return 0
}

package listener

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// Query picks live connections. The zero value picks the 100 youngest.
type Query struct {
	Sort       Sort
	Descending bool
	// Filter, if not nil, keeps the connections for which it returns true. It is called on the
	// calling goroutine, and must not keep the Info. The row is taken anew, so it may be some
	// microseconds younger than what Filter saw.
	Filter func(*protocol.Info) bool
	// Offset is how many connections to leave out, in the query's order.
	Offset int
	// Limit is the most to return. 0: 100; negative: all.
	Limit int
}

// Sort is the order of a Query. Connections that it does not tell apart are in the order of their
// age.
type Sort uint8

// The orders, ascending.
const (
	SortAge      Sort = iota // the youngest first
	SortQueued               // bytes of writes that wait for the kernel
	SortRead                 // bytes received
	SortWritten              // bytes that the kernel took
	SortState                // opening, open, flushing, closing, closed
	SortHandler              // how long the call under way has lasted; see protocol.Info
	SortUnsorted             // no order, and the cheapest
)

// defaultPage is the Limit of a Query without one.
const defaultPage = 100

// Page is the answer to a Query.
type Page struct {
	Total   int // live connections
	Matched int // of those, how many the filter has kept
	Rows    []protocol.Info
}

// List describes live connections as they are at this moment. Any goroutine may call it. It holds
// no lock while it looks at them, and the connections have no part in it: each is described by
// itself, so two rows may be some microseconds apart. A list of 10,000 takes some milliseconds.
func (l *Listener) List(q Query) Page { return l.server.list(q) }

// List is (*Listener).List.
func (d *Dialer) List(q Query) Page { return d.listener.List(q) }

func (s *server) list(q Query) Page {
	spawner := s.spawner.Load()
	if spawner == nil {
		return Page{}
	}
	rows := spawner.Summaries()
	page := Page{Total: len(rows)}
	if q.Filter != nil {
		var info protocol.Info
		rows = slices.DeleteFunc(rows, func(row connection.Summary) bool {
			info = row.Connection.Info()
			return !q.Filter(&info)
		})
	}
	page.Matched = len(rows)
	if q.Sort != SortUnsorted {
		slices.SortFunc(rows, q.compare)
	}
	limit := q.Limit
	if limit == 0 {
		limit = defaultPage
	}
	rows = rows[min(max(q.Offset, 0), len(rows)):]
	if limit > 0 {
		rows = rows[:min(limit, len(rows))]
	}
	page.Rows = make([]protocol.Info, len(rows))
	for i, row := range rows {
		page.Rows[i] = row.Connection.Info()
	}
	return page
}

func (q *Query) compare(a, b connection.Summary) int {
	order := 0
	switch q.Sort {
	case SortQueued:
		order = cmp.Compare(a.Queued, b.Queued)
	case SortRead:
		order = cmp.Compare(a.Read, b.Read)
	case SortWritten:
		order = cmp.Compare(a.Written, b.Written)
	case SortState:
		order = cmp.Compare(a.State, b.State)
	case SortHandler:
		order = cmp.Compare(a.HandlerFor, b.HandlerFor)
	}
	if order == 0 {
		order = cmp.Compare(b.Born, a.Born)
	}
	if q.Descending {
		return -order
	}
	return order
}

// Find returns the live connection with this PID's Id. Any goroutine may call it.
func (l *Listener) Find(id string) (socket protocol.Socket, found bool) {
	spawner := l.server.spawner.Load()
	if spawner == nil {
		return nil, false
	}
	if c := spawner.Find(id); c != nil {
		return c, true
	}
	return nil, false
}

// Find is (*Listener).Find.
func (d *Dialer) Find(id string) (socket protocol.Socket, found bool) { return d.listener.Find(id) }

// Warnings returns what an operator should know of now: warnings that have been raised and are not
// over, in no order. Those about connections are raised while the actor system's event stream has a
// subscriber; Log is one. Those about groups are not among them. Any goroutine may call it.
func (l *Listener) Warnings() []connection.Warning {
	all := l.server.warnings()
	if spawner := l.server.spawner.Load(); spawner != nil {
		all = append(all, spawner.Warnings()...)
	}
	return all
}

// Warnings is (*Listener).Warnings.
func (d *Dialer) Warnings() []connection.Warning { return d.listener.Warnings() }

// warnings returns those about the listener itself.
func (s *server) warnings() []connection.Warning {
	o := &s.options().Connection
	if o.IdleTimeout > 0 || o.ReadTimeout > 0 || !isPublic(s.addr) {
		return nil
	}
	return []connection.Warning{{Kind: connection.WarnNoIdleTimeout, Addr: s.addr}}
}

// LoopLag measures how long work waits until it is run: a probe goes through the run queue of each
// event loop, and of the pool, which comes last. A probe that has not come through when ctx is done
// counts as the time until then. Any goroutine may call it; the listener need not run any more.
func (l *Listener) LoopLag(ctx context.Context) []time.Duration {
	return lagOf(ctx, l.server.dispatchers)
}

// LoopLag is (*Listener).LoopLag.
func (d *Dialer) LoopLag(ctx context.Context) []time.Duration { return d.listener.LoopLag(ctx) }

func lagOf(ctx context.Context, dispatchers []actor.Dispatcher) []time.Duration {
	type probe struct {
		number int
		lag    time.Duration
	}
	began := time.Now()
	through := make(chan probe, len(dispatchers))
	for i, dispatcher := range dispatchers {
		dispatcher.Schedule(func() { through <- probe{i, time.Since(began)} })
	}
	lags := make([]time.Duration, len(dispatchers))
	for left := len(dispatchers); left > 0; left-- {
		select {
		case p := <-through:
			lags[p.number] = p.lag
		case <-ctx.Done():
			for i := range lags {
				if lags[i] == 0 {
					lags[i] = time.Since(began)
				}
			}
			return lags
		}
	}
	return lags
}

package inspector

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-berth/berth/protocol"
)

const (
	defaultLimit = 50
	// mostRows is how many rows one answer has at most.
	mostRows = 500
)

// page is the part of a list that a request asks for.
type page struct{ offset, limit int }

// cut returns the part of a list that is on the page.
func cut[T any](p page, all []T) []T {
	from := min(p.offset, len(all))
	return all[from:min(from+p.limit, len(all))]
}

// query is what a request asks the table of connections for.
type query struct {
	page
	server int // -1: all
	text   string
	state  string // a state's name, paused, ended; empty: all
	sort   string
	rising bool
	window time.Duration
}

// sorts are the columns that the table can be sorted by. Each compares the smaller first.
var sorts = map[string]func(a, b *sorted) int{
	"buffered": func(a, b *sorted) int { return cmp.Compare(a.buffered(), b.buffered()) },
	"rate":     func(a, b *sorted) int { return cmp.Compare(a.read+a.written, b.read+b.written) },
	"read":     func(a, b *sorted) int { return cmp.Compare(a.info.Stats.Read, b.info.Stats.Read) },
	"written":  func(a, b *sorted) int { return cmp.Compare(a.info.Stats.Written, b.info.Stats.Written) },
	"age":      func(a, b *sorted) int { return cmp.Compare(a.info.Stats.Duration, b.info.Stats.Duration) },
	"state": func(a, b *sorted) int {
		return cmp.Or(cmp.Compare(a.info.State, b.info.State), boolean(a.info.Paused)-boolean(b.info.Paused))
	},
	"handler": func(a, b *sorted) int {
		return cmp.Or(cmp.Compare(a.info.HandlerFor, b.info.HandlerFor), cmp.Compare(mean(a.info.Handler), mean(b.info.Handler)))
	},
	"remote": func(a, b *sorted) int { return strings.Compare(a.info.RemoteAddr, b.info.RemoteAddr) },
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sorted is a row with its rates.
type sorted struct {
	*row
	read, written float64
}

// buffered are the bytes that the connection holds.
func (r *row) buffered() uint64 { return uint64(r.info.QueuedBytes) + r.info.Stats.Unread }

// mean returns how long the calls took that were timed, on average.
func mean(t protocol.HandlerTimes) time.Duration {
	return time.Duration(uint64(t.Total) / max(1, t.Calls))
}

// number reads a whole number of a query; without one it is the default.
func number(values url.Values, name string, otherwise, least, most int) (int, error) {
	text := values.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s %q is no whole number from %d to %d", name, text, least, most)
	}
	return n, nil
}

func parsePage(values url.Values) (p page, err error) {
	if p.limit, err = number(values, "limit", defaultLimit, 1, mostRows); err != nil {
		return p, err
	}
	p.offset, err = number(values, "offset", 0, 0, 1<<30)
	return p, err
}

func (i *Inspector) parseQuery(values url.Values) (q query, err error) {
	if q.page, err = parsePage(values); err != nil {
		return q, err
	}
	if q.server, err = number(values, "server", -1, 0, len(i.servers)-1); err != nil {
		return q, err
	}
	seconds, err := number(values, "window", 5, 1, int(longestWindow/time.Second))
	if err != nil {
		return q, err
	}
	q.window = time.Duration(seconds) * time.Second
	q.text = strings.ToLower(strings.TrimSpace(values.Get("filter")))
	if q.state = values.Get("state"); q.state != "" && !slices.Contains(stateFilters, q.state) {
		return q, fmt.Errorf("state %q is none of %s", q.state, strings.Join(stateFilters, ", "))
	}
	q.sort = cmp.Or(values.Get("sort"), "age")
	if sorts[q.sort] == nil {
		return q, fmt.Errorf("sort %q is none of %s", q.sort, strings.Join(sortNames, ", "))
	}
	switch order := cmp.Or(values.Get("order"), "desc"); order {
	case "asc":
		q.rising = true
	case "desc":
	default:
		return q, fmt.Errorf("order %q is neither asc nor desc", order)
	}
	return q, nil
}

// sortNames and stateFilters are the words of a query, for its errors.
var (
	sortNames    = []string{"age", "buffered", "handler", "rate", "read", "remote", "state", "written"}
	stateFilters = []string{
		protocol.StateOpening.String(), protocol.StateOpen.String(), protocol.StateFlushing.String(),
		protocol.StateClosing.String(), "paused", "throttled", "queued",
	}
)

func (q *query) matches(r *row) bool {
	if q.server >= 0 && r.server != q.server {
		return false
	}
	switch q.state {
	case "":
	case "paused":
		if !r.info.Paused {
			return false
		}
	case "throttled":
		if !r.info.Throttled {
			return false
		}
	case "queued":
		if r.info.QueuedWrites == 0 {
			return false
		}
	default:
		if r.info.State.String() != q.state {
			return false
		}
	}
	return q.text == "" || contains(r.info.RemoteAddr, q.text) || contains(r.info.LocalAddr, q.text) || contains(r.id, q.text)
}

// contains reports whether text has part, which is in lower case.
func contains(text, part string) bool { return strings.Contains(strings.ToLower(text), part) }

// connections answers a query: the page's rows, and how many there are on all pages.
func (i *Inspector) connections(q query) (rows []connectionJSON, total int) {
	rows = []connectionJSON{}
	i.sampler.with(func(all []row) {
		chosen := make([]sorted, 0, len(all))
		for n := range all {
			r := &all[n]
			if !q.matches(r) {
				continue
			}
			s := sorted{row: r}
			if q.sort == "rate" {
				s.read, s.written = i.sampler.rates(r, q.window)
			}
			chosen = append(chosen, s)
		}
		compare := sorts[q.sort]
		slices.SortFunc(chosen, func(a, b sorted) int {
			order := compare(&a, &b)
			if !q.rising {
				order = -order
			}
			return cmp.Or(order, strings.Compare(a.id, b.id)) // so that equal rows keep their places
		})
		total = len(chosen)
		for _, s := range cut(q.page, chosen) {
			rows = append(rows, i.connectionJSON(s.row, q.window))
		}
	})
	return rows, total
}

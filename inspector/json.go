package inspector

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-berth/berth/protocol"
)

// The answers below api/. Times of day are RFC 3339, durations seconds, rates per second, sizes
// bytes. A field that is empty is left out where its type says so.
type (
	failure struct {
		Error string `json:"error"`
	}

	overviewJSON struct {
		Time       time.Time    `json:"time"`
		Began      time.Time    `json:"began"`   // when the Inspector did
		Actions    bool         `json:"actions"` // whether they are allowed with the token
		Go         string       `json:"go"`
		Processors int          `json:"processors"`
		Open       int          `json:"open"`
		Servers    []serverJSON `json:"servers"`
		Now        *point       `json:"now,omitempty"` // the newest point of the history

		Warnings []warningJSON `json:"warnings"` // those that hold now, mostWarnings at most
	}

	serverJSON struct {
		Index          int               `json:"index"` // what the query's server means
		Kind           string            `json:"kind"`  // listener or dialer
		Addr           string            `json:"addr,omitempty"`
		PID            string            `json:"pid"`
		Accepting      bool              `json:"accepting"`
		Suspendable    bool              `json:"suspendable"`
		MaxConnections int               `json:"maxConnections"`
		Open           int               `json:"open"`
		Waiting        int               `json:"waiting"`
		ByState        map[string]int    `json:"byState"`
		Detached       int               `json:"detached"`
		Lingering      int               `json:"lingering"`
		Accepted       uint64            `json:"accepted"`
		AcceptErrors   uint64            `json:"acceptErrors"`
		Refused        map[string]uint64 `json:"refused"`
		Ended          map[string]uint64 `json:"ended"`
		Read           uint64            `json:"read"`
		Written        uint64            `json:"written"`
		QueuedWrites   int               `json:"queuedWrites"`
		QueuedBytes    int               `json:"queuedBytes"`
		BufferedBytes  int64             `json:"bufferedBytes"`
		Throttled      int               `json:"throttled"`
		OverBudget     uint64            `json:"overBudget"`
		Paused         int               `json:"paused"`
		Full           int               `json:"full"` // with a full write queue, or one above high water
		HandOvers      uint64            `json:"handOvers"`
	}

	connectionJSON struct {
		ID            string  `json:"id"`     // of its actor
		Writer        string  `json:"writer"` // the id of its writer's actor
		Server        int     `json:"server"`
		Local         string  `json:"local"`
		Remote        string  `json:"remote"`
		State         string  `json:"state"`
		Reason        string  `json:"reason,omitempty"`
		Error         string  `json:"error,omitempty"`
		Paused        bool    `json:"paused"`
		QueuedWrites  int     `json:"queuedWrites"`
		QueuedBytes   int     `json:"queuedBytes"`
		Buffered      uint64  `json:"buffered"` // queued for the kernel, and unread
		Read          uint64  `json:"read"`
		Written       uint64  `json:"written"`
		Unread        uint64  `json:"unread"`
		Unsent        uint64  `json:"unsent"`
		Dropped       uint64  `json:"dropped"`
		DroppedWrites uint64  `json:"droppedWrites"`
		ReadRate      float64 `json:"readRate"`
		WriteRate     float64 `json:"writeRate"`
		Age           float64 `json:"age"`
		Restarts      int     `json:"restarts"`   // handlers that panicked and were replaced
		Throttled     bool    `json:"throttled"`  // not read because of the memory budget
		HandlerFor    float64 `json:"handlerFor"` // how long the handler's call under way has lasted

		Handler *handlerJSON `json:"handler,omitempty"` // with berth.Measure
	}

	// handlerJSON has the times of the handler's calls with Data, one of 16.
	handlerJSON struct {
		Calls   uint64  `json:"calls"`
		Total   float64 `json:"total"`
		Mean    float64 `json:"mean"`
		Longest float64 `json:"longest"`
	}

	warningJSON struct {
		Kind   string  `json:"kind"`
		Server int     `json:"server"`
		ID     string  `json:"id,omitempty"` // of the connection, if it is about one
		Remote string  `json:"remote,omitempty"`
		For    float64 `json:"for"`
		Advice string  `json:"advice"`
	}

	connectionsJSON struct {
		Time   time.Time        `json:"time"`
		Total  int              `json:"total"` // on all pages
		Offset int              `json:"offset"`
		Limit  int              `json:"limit"`
		Rows   []connectionJSON `json:"rows"`
	}

	// detailJSON is one connection, live or recently ended.
	detailJSON struct {
		connectionJSON
		Closed *closedJSON `json:"closed,omitempty"`
		Limits *limitsJSON `json:"limits,omitempty"`
		TLS    *tlsJSON    `json:"tls,omitempty"`
	}

	// limitsJSON are the server's options for connections that are accepted now. Negative is off.
	limitsJSON struct {
		ReadBuffer  int     `json:"readBuffer"`
		WriteBuffer int     `json:"writeBuffer"`
		WriteQueue  int     `json:"writeQueue"`
		Idle        float64 `json:"idle"`
		Read        float64 `json:"read"`
		Write       float64 `json:"write"`
		MaxAge      float64 `json:"maxAge"`
	}

	tlsJSON struct {
		Version  string `json:"version"`
		Cipher   string `json:"cipher"`
		ALPN     string `json:"alpn,omitempty"`
		Name     string `json:"serverName,omitempty"`
		Resumed  bool   `json:"resumed"`
		PeerName string `json:"peer,omitempty"` // the subject of the client's certificate
	}

	closedJSON struct {
		Time    time.Time `json:"time"`
		ID      string    `json:"id"`
		Server  int       `json:"server"`
		Remote  string    `json:"remote"`
		Reason  string    `json:"reason"`
		Error   string    `json:"error,omitempty"`
		Read    uint64    `json:"read"`
		Written uint64    `json:"written"`
		Unread  uint64    `json:"unread"`
		Unsent  uint64    `json:"unsent"`
		Age     float64   `json:"age"`
	}

	closedPageJSON struct {
		Total   int            `json:"total"` // on all pages
		Offset  int            `json:"offset"`
		Limit   int            `json:"limit"`
		Reasons map[string]int `json:"reasons"` // of all that are kept
		Rows    []closedJSON   `json:"rows"`
	}

	treeJSON struct {
		Servers []treeServerJSON `json:"servers"`
	}

	// treeServerJSON is a supervisor and its children. Connections are one page of those there are.
	treeServerJSON struct {
		Index       int            `json:"index"`
		Kind        string         `json:"kind"`
		Addr        string         `json:"addr,omitempty"`
		PID         string         `json:"pid"`
		Acceptors   []string       `json:"acceptors"`
		Parent      string         `json:"connections"` // the id of the actor above the connections
		Total       int            `json:"total"`
		Connections []treeNodeJSON `json:"children"`
	}

	treeNodeJSON struct {
		ID       string `json:"id"`
		Writer   string `json:"writer"`
		Remote   string `json:"remote"`
		State    string `json:"state"`
		Paused   bool   `json:"paused"`
		Buffered uint64 `json:"buffered"`
		Queued   int    `json:"queuedWrites"`
	}

	historyJSON struct {
		Every  float64 `json:"every"` // seconds from point to point
		Points []point `json:"points"`
	}
)

func writeJSON(w http.ResponseWriter, status int, answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // a client that is gone needs no answer
}

func (i *Inspector) connectionJSON(r *row, window time.Duration) connectionJSON {
	c := describe(r)
	c.ReadRate, c.WriteRate = i.sampler.rates(r, window)
	return c
}

// describe returns all but the rates.
func describe(r *row) connectionJSON {
	info := &r.info
	c := connectionJSON{
		ID: r.id, Writer: r.id + "/writer", Server: r.server, Local: info.LocalAddr, Remote: info.RemoteAddr, State: info.State.String(),
		Paused: info.Paused, QueuedWrites: info.QueuedWrites, QueuedBytes: info.QueuedBytes, Buffered: r.buffered(),
		Read: info.Stats.Read, Written: info.Stats.Written, Unread: info.Stats.Unread, Unsent: info.Stats.Unsent,
		Dropped: info.Stats.Dropped, DroppedWrites: info.Stats.DroppedWrites, Age: info.Stats.Duration.Seconds(), Restarts: info.Restarts,
		Throttled: info.Throttled, HandlerFor: info.HandlerFor.Seconds(),
	}
	if info.Reason != protocol.ReasonNone {
		c.Reason = info.Reason.String()
	}
	if info.Err != nil {
		c.Error = info.Err.Error()
	}
	if t := info.Handler; t.Calls > 0 {
		c.Handler = &handlerJSON{Calls: t.Calls, Total: t.Total.Seconds(), Mean: mean(t).Seconds(), Longest: t.Longest.Seconds()}
	}
	return c
}

// mostWarnings bounds the warnings of one answer.
const mostWarnings = 100

// warnings returns those that hold now, the oldest first.
func (i *Inspector) warnings() []warningJSON {
	all := []warningJSON{}
	for index, source := range i.servers {
		for _, w := range source.Warnings() {
			one := warningJSON{Kind: w.Kind.String(), Server: index, ID: w.PID.GetId(), For: w.For.Seconds(), Advice: w.Kind.Advice()}
			if w.RemoteAddr != nil {
				one.Remote = w.RemoteAddr.String()
			}
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b warningJSON) int { return cmp.Or(cmp.Compare(b.For, a.For), strings.Compare(a.ID, b.ID)) })
	return all[:min(len(all), mostWarnings)]
}

func (i *Inspector) serverJSON(index int) serverJSON {
	source := i.servers[index]
	info := source.Info()
	_, can := source.(suspender)
	s := serverJSON{
		Index: index, Kind: kindOf(source), Addr: info.Addr, PID: source.PID().GetId(), Accepting: info.Accepting, Suspendable: can,
		MaxConnections: info.MaxConnections, Open: info.Open, Waiting: info.Waiting, Detached: info.Detached, Lingering: info.Lingering,
		Accepted: info.Accepted, AcceptErrors: info.AcceptErrors, Read: info.Read, Written: info.Written,
		QueuedWrites: info.QueuedWrites, QueuedBytes: info.QueuedBytes, BufferedBytes: info.BufferedBytes,
		Throttled: info.Throttled, OverBudget: info.OverBudget, Paused: info.Paused, Full: info.Full, HandOvers: info.HandOvers,
		ByState: named(info.ByState), Refused: named(info.Refused), Ended: named(info.Ended),
	}
	return s
}

// named has the names of the keys in their place.
func named[K interface {
	comparable
	String() string
}, V cmp.Ordered](counts map[K]V) map[string]V {
	names := make(map[string]V, len(counts))
	for key, count := range counts {
		names[key.String()] += count
	}
	return names
}

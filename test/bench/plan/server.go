package plan

import "slices"

// Family says which rivals a server is counted among.
type Family string

// The families.
const (
	Go    Family = "go"    // a peer in Go: "the best Go peer" is chosen among these
	C     Family = "c"     // the bound in C
	Berth Family = "berth" // what is being judged
)

// Server is one row: a binary and how it is started.
type Server struct {
	ID     string   `json:"id"`
	Title  string   `json:"title"`
	Family Family   `json:"family"`
	Binary string   `json:"binary"` // what is built for it; see package launch
	Args   []string `json:"args,omitempty"`
	Module string   `json:"module,omitempty"` // the module that gives the row its version
	Sleeps bool     `json:"sleeps"`           // it has -sleep: its handler can be made to block
	// Group is the one group of cases that it takes part in, as its handler does something of its
	// own. Empty: it takes part in the other cases.
	Group string `json:"group,omitempty"`
	// Only are the cases it takes part in; none: all.
	Only []string `json:"only,omitempty"`
}

// TakesPart says whether the server is measured in the case.
func (s Server) TakesPart(c Case) bool {
	group := ""
	if c.Group == "burning" || c.Group == "handoff" {
		group = c.Group
	}
	if c.Kind == Blocking && !s.Sleeps || s.Group != group {
		return false
	}
	return len(s.Only) == 0 || slices.Contains(s.Only, c.ID)
}

// A 64 KiB read buffer is a choice for bulk; elsewhere it only costs memory, so memory is the one
// other case that shows it.
var bulkBuffer = []string{"bulk", "memory-collected"}

// One worker shows what a second one costs.
var oneWorker = []string{"1", "50", "1000", "16deep", "bulk", "churn", "blocking"}

// Servers are all servers, the baseline first.
func Servers() []Server {
	return []Server{
		{ID: "gonet", Title: "plain Go, 4 KiB buffer", Family: Go, Binary: "gonet", Sleeps: true},
		{ID: "gonet-64k", Title: "plain Go, 64 KiB buffer", Family: Go, Binary: "gonet", Args: []string{"-read-buffer-size", "65536"}, Sleeps: true, Only: bulkBuffer},
		{ID: "gnet", Title: "gnet", Family: Go, Binary: "gnet", Module: "github.com/panjf2000/gnet/v2", Sleeps: true},
		{ID: "netpoll", Title: "netpoll", Family: Go, Binary: "netpoll", Module: "github.com/cloudwego/netpoll", Sleeps: true},
		{ID: "nbio", Title: "nbio", Family: Go, Binary: "nbio", Module: "github.com/lesismal/nbio", Sleeps: true},
		{ID: "evio", Title: "evio", Family: Go, Binary: "evio", Module: "github.com/tidwall/evio", Sleeps: true},
		{ID: "actors", Title: "two stock actors per connection", Family: Go, Binary: "actors", Module: "github.com/asynkron/protoactor-go", Sleeps: true},
		{ID: "cepoll", Title: "C, epoll, one thread", Family: C, Binary: "cepoll"},
		{ID: "berth", Title: "Berth", Family: Berth, Binary: "berth", Sleeps: true},
		{ID: "berth-64k", Title: "Berth, 64 KiB buffers", Family: Berth, Binary: "berth", Args: []string{"-read-buffer-size", "65536", "-write-buffer-size", "131072"}, Sleeps: true, Only: bulkBuffer},
		{ID: "berth-1w", Title: "Berth, one worker", Family: Berth, Binary: "berth", Args: []string{"-workers", "1"}, Sleeps: true, Only: oneWorker},
		{ID: "berth-burn-1w", Title: "Berth, one worker", Family: Berth, Binary: "berth", Args: []string{"-burn", "50us", "-workers", "1"}, Group: "burning"},
		{ID: "berth-burn-2w", Title: "Berth, two workers", Family: Berth, Binary: "berth", Args: []string{"-burn", "50us", "-workers", "2"}, Group: "burning"},
		{ID: "berth-stream", Title: "Berth, stream transport", Family: Berth, Binary: "berth", Args: []string{"-transport", "stream"}, Sleeps: true},
		{ID: "gonet-handoff", Title: "plain Go, another goroutine writes", Family: Go, Binary: "gonet", Args: []string{"-handoff"}, Group: "handoff"},
		{ID: "berth-handoff", Title: "Berth, another goroutine writes", Family: Berth, Binary: "handoff", Group: "handoff"},
		{ID: "berth-handoff-stream", Title: "Berth, stream transport, another goroutine writes", Family: Berth, Binary: "handoff", Args: []string{"-stream"}, Group: "handoff"},
	}
}

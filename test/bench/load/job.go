package load

import (
	"time"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
)

// Job is what the orchestrator asks of the generator, as JSON on its standard input.
type Job struct {
	Case     plan.Case     `json:"case"`
	Addr     string        `json:"addr"`     // where the server listens, an IPv4 loopback address
	PID      int           `json:"pid"`      // the server's process, for its clock and memory
	Duration time.Duration `json:"duration"` // of a window
	Threads  int           `json:"threads"`  // loops; 0: one per four cores
}

// Result is the generator's answer, as JSON on its standard output. A run in which a byte was
// wrong or missing has no result: the generator says what was wrong on standard error and exits 1.
type Result struct {
	Values map[metric.ID]float64 `json:"values"`
}

// Bounds of a run, whatever the server does.
const (
	maxMessages = 50_000_000       // per loop; the window ends early when it is reached
	openTimeout = 20 * time.Second // for all connections of a case to open
	doneTimeout = 10 * time.Second // for all messages under way to come back at the end
	// maxFlood is the most a connection that never reads sends: above what the kernel's own
	// buffers take (3.9 MB), and small enough for a server that keeps it all.
	maxFlood = 16 << 20
	// stalledPeers is how many such connections there are.
	stalledPeers = 8
	// paceInterval is the time between two messages of a paced connection.
	paceInterval = 5 * time.Millisecond
	// sleepPause is the time between a sleeper's answer and its next request.
	sleepPause = 100 * time.Millisecond
)

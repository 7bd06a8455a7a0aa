// Package plan says what is measured: the cases, the servers, and the presets that combine them.
package plan

import (
	"time"

	"github.com/go-berth/berth/test/bench/metric"
)

// Kind is what the load generator does in a case.
type Kind string

// The kinds of cases.
const (
	Echo     Kind = "echo"     // every connection keeps Depth messages under way
	Churn    Kind = "churn"    // connect, one echo, close, and again
	Memory   Kind = "memory"   // connections that are idle after one message
	Blocking Kind = "blocking" // paced connections beside one with a handler that sleeps
	Stalled  Kind = "stalled"  // paced connections beside some that send and never read
)

// Case is one kind of load, measured on every server that can take it.
type Case struct {
	ID    string `json:"id"`    // its name on the command line and in the results
	Title string `json:"title"` // its name in tables
	Group string `json:"group"` // cases of one group share a table, and its name selects them all

	Kind  Kind `json:"kind"`
	Conns int  `json:"conns"`
	Depth int  `json:"depth,omitempty"` // messages under way per connection
	Size  int  `json:"size"`            // bytes per message

	// Window is the length of a window as a multiple of -duration; 0 means once.
	Window int `json:"window,omitempty"`
	// Sleep is how long the sleeping handler sleeps; Blocking only.
	Sleep time.Duration `json:"sleep,omitempty"`
	// Environment is added to the server's: it puts every Go server under the same rule.
	Environment []string `json:"environment,omitempty"`

	// Baseline is the server the ratios are taken to.
	Baseline string `json:"baseline"`
	// Metrics are the figures shown; the first is the one ratios are taken of.
	Metrics []metric.ID `json:"metrics"`
	// MaxRounds ends a case's rounds early, if it takes long or scatters little. 0 means no limit.
	MaxRounds int `json:"max_rounds,omitempty"`
	// AtMost and AtMostC are the project's targets for Berth: CPU to plain Go's and to the C
	// server's. 0: there is none.
	AtMost  float64 `json:"at_most,omitempty"`
	AtMostC float64 `json:"at_most_c,omitempty"`
}

// Primary is the figure a case's ratios are taken of.
func (c Case) Primary() metric.ID { return c.Metrics[0] }

const (
	small = 64       // bytes of a message but for bulk
	large = 64 << 10 // and in bulk
)

// Cases are all cases, in the order they are measured and shown.
func Cases() []Case {
	return []Case{
		echo(Case{ID: "1", Title: "1 conn", Conns: 1, AtMost: 0.60, AtMostC: 1.0}),
		echo(Case{ID: "50", Title: "50 conns", Conns: 50, AtMost: 0.75, AtMostC: 1.2}),
		echo(Case{ID: "1000", Title: "1,000 conns", Conns: 1000, AtMost: 0.80, AtMostC: 1.2}),
		echo(Case{ID: "16deep", Title: "50 conns, 16 deep", Conns: 50, Depth: 16, AtMost: 0.85, AtMostC: 1.1}),
		echo(Case{ID: "bulk", Title: "bulk, 8 conns", Conns: 8, Size: large, Baseline: "gonet-64k", AtMost: 0.85, AtMostC: 0.8}),
		echo(Case{ID: "churn", Title: "connect, echo, close", Kind: Churn, Conns: 32, AtMost: 0.75, AtMostC: 1.2}),
		memory(Case{ID: "memory-collected", Title: "collected (GOGC=10)", Environment: []string{"GOGC=10"}}),
		memory(Case{ID: "memory-started", Title: "as started"}),
		scaling(Case{ID: "scaling-100", Title: "100 active", Conns: 100}),
		scaling(Case{ID: "scaling-1000", Title: "1,000 active", Conns: 1000}),
		// At 50,000 messages a second a window of one would hold five messages of each connection.
		scaling(Case{ID: "scaling-10000", Title: "10,000 active", Conns: 10000, Window: 3}),
		burning(Case{ID: "burning", Title: "a handler computes for 50 us", Conns: 50}),
		handoff(Case{ID: "handoff-1", Title: "1 conn", Conns: 1}),
		handoff(Case{ID: "handoff-50", Title: "50 conns", Conns: 50}),
		blocking(Case{ID: "blocking", Title: "a handler blocks"}),
		stalled(Case{ID: "stalled", Title: "peers do not read"}),
	}
}

func echo(c Case) Case {
	c.Group = "echo"
	if c.Kind == "" {
		c.Kind = Echo
	}
	c.Metrics = []metric.ID{
		metric.CPU, metric.User, metric.Rate, metric.P50, metric.P99, metric.Max, metric.GeneratorCPU, metric.Busy, metric.Others,
	}
	return withDefaults(c)
}

func memory(c Case) Case {
	c.Group, c.Kind, c.Conns, c.MaxRounds = "memory", Memory, 5000, 3
	c.Metrics = []metric.ID{metric.Idle}
	return withDefaults(c)
}

func scaling(c Case) Case {
	c.Group, c.Kind, c.MaxRounds = "scaling", Echo, 3
	c.Metrics = []metric.ID{
		metric.CPU, metric.User, metric.Rate, metric.P99, metric.SetupCPU, metric.GeneratorCPU, metric.Busy, metric.Others,
	}
	return withDefaults(c)
}

func burning(c Case) Case {
	c.Group, c.Kind, c.Baseline = "burning", Echo, "berth-burn-1w"
	c.Metrics = []metric.ID{metric.Rate, metric.CPU, metric.User, metric.P50, metric.P99, metric.Busy, metric.Others}
	return withDefaults(c)
}

func handoff(c Case) Case {
	c.Group, c.Kind, c.Baseline = "handoff", Echo, "gonet-handoff"
	c.Metrics = []metric.ID{metric.CPU, metric.User, metric.Rate, metric.P50, metric.P99, metric.Busy, metric.Others}
	return withDefaults(c)
}

func blocking(c Case) Case {
	c.Group, c.Kind, c.Conns, c.MaxRounds = "blocking", Blocking, 50, 3
	c.Window, c.Sleep = 2, time.Second
	c.Metrics = []metric.ID{
		metric.Growth, metric.CalmP99, metric.DisturbedP99, metric.CalmMax, metric.DisturbedMax,
		metric.CalmCPU, metric.DisturbedCPU,
	}
	return withDefaults(c)
}

func stalled(c Case) Case {
	c.Group, c.Kind, c.Conns, c.MaxRounds = "stalled", Stalled, 50, 3
	c.Metrics = []metric.ID{
		metric.DisturbedP99, metric.CalmP99, metric.DisturbedMax, metric.CalmCPU, metric.DisturbedCPU,
		metric.Swallowed, metric.Held, metric.Cut,
	}
	return withDefaults(c)
}

func withDefaults(c Case) Case {
	c.Depth = max(c.Depth, 1)
	c.Window = max(c.Window, 1)
	if c.Size == 0 {
		c.Size = small
	}
	if c.Baseline == "" {
		c.Baseline = "gonet"
	}
	return c
}

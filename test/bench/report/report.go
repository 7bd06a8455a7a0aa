// Package report holds what a run measured and turns it into JSON, Markdown and plots.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
)

// Report is a whole run.
type Report struct {
	Meta         Meta          `json:"meta"`
	Cases        []plan.Case   `json:"cases"`
	Servers      []plan.Server `json:"servers"`
	Measurements []Measurement `json:"measurements"`
	Summary      []Row         `json:"summary"` // see Summarize
}

// Meta says where, when and how a run was made.
type Meta struct {
	Date     time.Time         `json:"date"`
	Command  string            `json:"command"`
	Preset   string            `json:"preset"`
	Rounds   int               `json:"rounds"`
	Duration time.Duration     `json:"duration"` // of a window
	Go       string            `json:"go"`
	Kernel   string            `json:"kernel"`
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Before   string            `json:"load_before"`        // load average as the run began
	After    string            `json:"load_after"`         // and as it ended
	Compiler string            `json:"compiler,omitempty"` // of the C server
	Versions map[string]string `json:"versions"`           // by server ID
}

// Measurement is one case on one server in one round: figures, or a sentence why there are none.
type Measurement struct {
	Round   int                   `json:"round"`
	Case    string                `json:"case"`
	Server  string                `json:"server"`
	Values  map[metric.ID]float64 `json:"values,omitempty"`
	Repeats int                   `json:"repeats,omitempty"` // how often it was taken again; see Disturbed
	Skipped string                `json:"skipped,omitempty"` // it cannot be measured here
	Failed  string                `json:"failed,omitempty"`  // it was measured, and something was wrong
}

// MostOthers is how much of a core other processes may use during a measurement.
const MostOthers = 0.1

// Disturbed reports whether other processes used more than that.
func (m Measurement) Disturbed() bool { return m.Values[metric.Others] > MostOthers }

// Disturbances are the sentences about measurements that count although they were disturbed.
func (r Report) Disturbances() []string {
	return sentences(r.Measurements, func(m Measurement) string {
		if !m.Disturbed() {
			return ""
		}
		return fmt.Sprintf("other processes used more than %.1f of a core in at least one round; figures of such a round say little", MostOthers)
	})
}

// Failures are the sentences about failures.
func (r Report) Failures() []string {
	return sentences(r.Measurements, func(m Measurement) string { return m.Failed })
}

// Skips are the sentences of what was left out.
func (r Report) Skips() []string {
	return sentences(r.Measurements, func(m Measurement) string { return m.Skipped })
}

// sentences lists what of gives, each once per server, with the cases it happened in.
func sentences(measurements []Measurement, of func(Measurement) string) []string {
	type saying struct{ server, text string }
	var order []saying
	cases := map[saying][]string{}
	for _, m := range measurements {
		said := saying{m.Server, of(m)}
		if said.text == "" {
			continue
		}
		if len(cases[said]) == 0 {
			order = append(order, said)
		}
		if !slices.Contains(cases[said], m.Case) {
			cases[said] = append(cases[said], m.Case)
		}
	}
	var all []string
	for _, said := range order {
		all = append(all, fmt.Sprintf("%s (%s): %s", said.server, strings.Join(cases[said], ", "), said.text))
	}
	return all
}

// WriteJSON writes the report for machines.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// ReadJSON reads what WriteJSON wrote.
func ReadJSON(source io.Reader) (Report, error) {
	var r Report
	if err := json.NewDecoder(source).Decode(&r); err != nil {
		return Report{}, fmt.Errorf("these are no benchmark results: %w", err)
	}
	return r, nil
}

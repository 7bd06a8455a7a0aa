package plan

import (
	"slices"
	"time"
)

// Preset is a choice of cases, servers, rounds and window length.
type Preset struct {
	Name     string
	Meaning  string
	Cases    []string // IDs and groups; none: all
	Servers  []string // IDs; none: all
	Rounds   int
	Duration time.Duration // length of a window
	// Repeats is how often a measurement is taken again beside which other processes used too much
	// of the machine; see report.MostOthers.
	Repeats int
	// Shrink scales down what a case takes besides its window: idle connections, sleeps, and the
	// rounds of the cases outside the group echo.
	Shrink int
	// Sample are the servers measured in all cases but the first; none: all.
	Sample []string
}

// Presets are the runs the Makefile and CI know by name.
func Presets() []Preset {
	return []Preset{
		{Name: "full", Meaning: "every case and server, about 15 minutes", Rounds: 5, Duration: time.Second, Repeats: 2, Shrink: 1},
		{
			Name: "short", Meaning: "the six echo cases, idle memory and the blocking handler, about 2 minutes",
			Cases:   []string{"echo", "memory-collected", "blocking"},
			Servers: []string{"gonet", "gonet-64k", "gnet", "netpoll", "nbio", "evio", "cepoll", "berth", "berth-64k"},
			Rounds:  3, Duration: 250 * time.Millisecond, Repeats: 1, Shrink: 5,
		},
		{
			Name: "smoke", Meaning: "every server once and every kind of case once, under 20 seconds: does it all work",
			Cases:  []string{"50", "bulk", "churn", "memory-collected", "blocking", "stalled"},
			Sample: []string{"gonet", "gonet-64k", "cepoll", "berth", "berth-64k"},
			Rounds: 1, Duration: 50 * time.Millisecond, Shrink: 20,
		},
	}
}

// Apply scales a case down as the preset asks.
func (p Preset) Apply(c Case) Case {
	if p.Shrink <= 1 {
		return c
	}
	c.Sleep /= time.Duration(p.Shrink)
	if c.Kind == Memory {
		c.Conns = max(c.Conns/p.Shrink, 100)
	}
	if c.Group != "echo" {
		c.MaxRounds = 1
	}
	return c
}

// FindPreset looks a preset up by name.
func FindPreset(name string) (Preset, bool) {
	presets := Presets()
	i := slices.IndexFunc(presets, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return presets[i], true
}

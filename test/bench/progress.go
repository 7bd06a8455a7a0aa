package main

import (
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/go-berth/berth/test/bench/plan"
)

// progress shows how far a run is: a bar on a terminal, one line per case and round elsewhere,
// because a log keeps every stroke of a bar.
type progress struct {
	bar  *progressbar.ProgressBar // nil: standard error is no terminal
	last string                   // the line logged last
}

func newProgress(steps int) *progress {
	p := &progress{}
	if term.IsTerminal(int(os.Stderr.Fd())) {
		p.bar = progressbar.NewOptions(steps,
			progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowCount(),
			progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(true),
			progressbar.OptionClearOnFinish())
	}
	return p
}

// begin announces a step.
func (p *progress) begin(step plan.Step, rounds int) {
	if p.bar != nil {
		p.bar.Describe(fmt.Sprintf("round %d/%d  %s  %s", step.Round, rounds, step.Case.ID, step.Server.ID))
		return
	}
	if line := fmt.Sprintf("round %d/%d: %s", step.Round, rounds, step.Case.Title); line != p.last {
		fmt.Fprintln(os.Stderr, line)
		p.last = line
	}
}

// end counts a step as done.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Add(1) // fails only past the last step
	}
}

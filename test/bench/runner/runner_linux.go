// Package runner takes the measurements of a plan one by one: start the server, drive it, stop it.
package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-berth/berth/test/bench/launch"
	"github.com/go-berth/berth/test/bench/load"
	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
	"github.com/go-berth/berth/test/bench/proc"
	"github.com/go-berth/berth/test/bench/report"
)

// allowance is how long a measurement may take besides its windows: connections open, a memory
// comes to rest, echoes still under way come back.
const allowance = time.Minute

// Runner takes measurements. Nothing of it runs between two calls.
type Runner struct {
	Binaries *launch.Binaries
	Duration time.Duration // of a window
	Repeats  int           // of a measurement that other processes disturbed
	Threads  int           // of the generator; 0: its own choice
}

// Measure takes one measurement. A failure becomes a sentence in it. While other processes use more
// than report.MostOthers of a core, it is repeated, up to Repeats times; the one with the least of
// them counts.
func (r Runner) Measure(ctx context.Context, step plan.Step) report.Measurement {
	best := r.once(ctx, step)
	for range r.Repeats {
		if !best.Disturbed() || ctx.Err() != nil {
			break
		}
		if again := r.once(ctx, step); again.Values != nil && again.Values[metric.Others] < best.Values[metric.Others] {
			again.Repeats = best.Repeats
			best = again
		}
		best.Repeats++
	}
	return best
}

func (r Runner) once(ctx context.Context, step plan.Step) report.Measurement {
	m := report.Measurement{Round: step.Round, Case: step.Case.ID, Server: step.Server.ID}
	if err := r.possible(step); err != nil {
		if errors.Is(err, launch.ErrSkipped) {
			m.Skipped = err.Error()
		} else {
			m.Failed = err.Error()
		}
		return m
	}
	result, err := r.drive(ctx, step)
	if err != nil {
		m.Failed = err.Error()
		return m
	}
	m.Values = result.Values
	return m
}

func (r Runner) possible(step plan.Step) error {
	if err := r.Binaries.Problem(step.Server.Binary); err != nil {
		return err
	}
	if err := proc.EnsureDescriptors(descriptors(step.Case)); err != nil {
		return fmt.Errorf("%w: %w", launch.ErrSkipped, err)
	}
	return nil
}

// descriptors is how many connections a case has at most: see load's memory case.
func descriptors(c plan.Case) int {
	if c.Kind == plan.Memory {
		return c.Conns + c.Conns/10
	}
	return c.Conns
}

func (r Runner) drive(ctx context.Context, step plan.Step) (load.Result, error) {
	window := r.Duration * time.Duration(step.Case.Window)
	ctx, cancel := context.WithTimeoutCause(ctx, allowance+4*window,
		errors.New("it took longer than any measurement should"))
	defer cancel()
	server, err := r.Binaries.Start(ctx, step.Server, step.Case)
	if err != nil {
		return load.Result{}, err
	}
	defer server.Stop()
	result, err := r.Binaries.Generate(ctx, load.Job{
		Case: step.Case, Addr: server.Addr, PID: server.PID, Duration: window, Threads: r.Threads,
	})
	if died := server.Died(); died != nil {
		return load.Result{}, died
	}
	return result, err
}

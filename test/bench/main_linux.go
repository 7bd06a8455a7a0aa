package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/go-berth/berth/test/bench/launch"
	"github.com/go-berth/berth/test/bench/machine"
	"github.com/go-berth/berth/test/bench/plan"
	"github.com/go-berth/berth/test/bench/report"
	"github.com/go-berth/berth/test/bench/runner"
	"github.com/go-berth/berth/test/bench/servers/cepoll"
)

func main() {
	// A server dies with the thread that started it (Pdeathsig): keep that thread.
	runtime.LockOSThread()
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case o.list:
		fmt.Print(listing())
		return
	}
	if err := bench(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// bench builds, measures and writes. An interrupted run writes what it has.
func bench(o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	steps := plan.Steps(o.cases, o.servers, o.preset.Rounds, o.preset.Sample)
	fmt.Fprintf(os.Stderr, "%d measurements; building the servers\n", len(steps))
	binaries, err := launch.Build(ctx, binariesOf(o.servers))
	if err != nil {
		return err
	}
	began := time.Now()
	r := report.Report{Meta: describe(o, binaries), Cases: o.cases, Servers: o.servers}
	r.Measurements = measure(ctx, o, binaries, steps)
	r.Meta.After = machine.Load()
	r.Summarize()
	summary, err := write(o.out, r)
	if err != nil {
		return err
	}
	fmt.Print(summary)
	fmt.Fprintf(os.Stderr, "measured in %s; results in %s\n", time.Since(began).Round(time.Second), o.out)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted after %d of %d measurements", len(r.Measurements), len(steps))
	}
	if failures := r.Failures(); len(failures) > 0 {
		return fmt.Errorf("%d things went wrong, the first: %s", len(failures), failures[0])
	}
	return nil
}

func measure(ctx context.Context, o options, binaries *launch.Binaries, steps []plan.Step) []report.Measurement {
	run := runner.Runner{Binaries: binaries, Duration: o.preset.Duration, Repeats: o.preset.Repeats, Threads: o.threads}
	shown := newProgress(len(steps))
	var measurements []report.Measurement
	for _, step := range steps {
		shown.begin(step, o.preset.Rounds)
		m := run.Measure(ctx, step)
		if ctx.Err() != nil {
			break
		}
		measurements = append(measurements, m)
		shown.end()
	}
	return measurements
}

func binariesOf(servers []plan.Server) []string {
	var all []string
	seen := map[string]bool{}
	for _, server := range servers {
		if !seen[server.Binary] {
			seen[server.Binary] = true
			all = append(all, server.Binary)
		}
	}
	return all
}

func describe(o options, binaries *launch.Binaries) report.Meta {
	m := report.Meta{
		Date:     time.Now().Round(time.Second),
		Command:  strings.Join(append([]string{"go run ."}, os.Args[1:]...), " "),
		Preset:   o.preset.Name,
		Rounds:   o.preset.Rounds,
		Duration: o.preset.Duration,
		Go:       runtime.Version(),
		Kernel:   machine.Kernel(),
		CPU:      machine.CPU(),
		Cores:    runtime.NumCPU(),
		Before:   machine.Load(),
		Compiler: cepoll.Version(),
		Versions: map[string]string{},
	}
	for _, server := range o.servers {
		version := binaries.Version(server.Binary, server.Module)
		if server.Family == plan.C {
			version = m.Compiler
		}
		if version != "" {
			m.Versions[server.ID] = version
		}
	}
	return m
}

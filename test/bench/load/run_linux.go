package load

import (
	"fmt"
	"time"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
	"github.com/go-berth/berth/test/bench/proc"
)

var runs = map[plan.Kind]func(*session) (report, error){
	plan.Echo: runEcho, plan.Churn: runChurn, plan.Memory: runMemory,
	plan.Blocking: runBlocking, plan.Stalled: runStalled,
}

// Run does one job. Any wrong, missing or surplus byte, and any connection the server closed
// unasked, is an error.
func Run(job Job) (Result, error) {
	run, ok := runs[job.Case.Kind]
	if !ok {
		return Result{}, fmt.Errorf("there is no kind of case %q", job.Case.Kind)
	}
	if err := proc.EnsureDescriptors(job.Case.Conns); err != nil {
		return Result{}, err
	}
	s, err := newSession(job)
	if err != nil {
		return Result{}, err
	}
	report, err := run(s)
	s.end()
	if err != nil {
		return Result{}, err
	}
	values, err := report()
	return Result{Values: values}, err
}

// warmUp is how long the load runs before a window opens.
func (s *session) warmUp() time.Duration { return max(s.job.Duration/4, 50*time.Millisecond) }

func runEcho(s *session) (report, error) {
	c := s.job.Case
	setup, err := s.openMeasured(echoer{deep: c.Depth}, c.Conns, c.Size)
	if err != nil {
		return nil, err
	}
	window, err := s.warmAndMeasure()
	if err != nil {
		return nil, err
	}
	return func() (values, error) {
		figures, err := window.figures(window.messages(), s.histogram(0))
		if err == nil {
			figures[metric.SetupCPU] = micro(setup) / float64(c.Conns)
		}
		return figures, err
	}, s.finish(doneTimeout)
}

func runChurn(s *session) (report, error) {
	c := s.job.Case
	if err := s.open(churner{}, c.Conns, c.Size, NewStream); err != nil {
		return nil, err
	}
	window, err := s.warmAndMeasure()
	if err != nil {
		return nil, err
	}
	return func() (values, error) {
		return window.figures(window.cycles(), s.histogram(0))
	}, s.finish(doneTimeout)
}

func (s *session) warmAndMeasure() (span, error) {
	s.begin()
	if err := s.pause(s.warmUp()); err != nil {
		return span{}, err
	}
	return s.measure(0, s.job.Duration)
}

// openMeasured opens connections and returns the CPU time the server took to accept them.
func (s *session) openMeasured(role role, n, size int) (time.Duration, error) {
	before, err := proc.CPU(s.job.PID)
	if err != nil {
		return 0, err
	}
	if err := s.open(role, n, size, NewStream); err != nil {
		return 0, err
	}
	after, err := s.restingCPU()
	return after - before, err
}

// restingCPU is the server's CPU clock once it used less than 1 ms in 20 ms, or after a second:
// the kernel opens connections before the server accepts them.
func (s *session) restingCPU() (now time.Duration, err error) {
	last := -time.Second
	for range 50 {
		if now, err = proc.CPU(s.job.PID); err != nil || now-last < time.Millisecond {
			return now, err
		}
		last = now
		if err := s.pause(20 * time.Millisecond); err != nil {
			return 0, err
		}
	}
	return now, nil
}

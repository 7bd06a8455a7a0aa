package load

import (
	"errors"
	"time"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/proc"
)

// The windows of a run with a disturbance.
const (
	calm = iota
	disturbed
)

// runBlocking measures paced connections without and with one more connection. The handler of that
// one sleeps, answers, and is asked again after a pause.
func runBlocking(s *session) (report, error) {
	c := s.job.Case
	asleep := RepeatedStream(sleepMessage(c.Size))
	if err := s.openPaced(); err != nil {
		return nil, err
	}
	if err := s.open(sleeper{pause: int64(sleepPause)}, 1, c.Size, func(int) Stream { return asleep }); err != nil {
		return nil, err
	}
	before, err := s.measureCalm()
	if err != nil {
		return nil, err
	}
	s.disturb(true)
	during, err := s.measure(disturbed, s.job.Duration)
	if err != nil {
		return nil, err
	}
	s.disturb(false)
	return func() (values, error) {
		return s.beforeAndDuring(before, during)
	}, s.finish(c.Sleep + doneTimeout)
}

// runStalled does the same beside connections that send and never read. The window opens when the
// server takes no more of them: what it took and what memory it keeps for that is read as well.
func runStalled(s *session) (report, error) {
	if err := s.openPaced(); err != nil {
		return nil, err
	}
	if err := s.open(flooder{}, stalledPeers, s.job.Case.Size, NewStream); err != nil {
		return nil, err
	}
	before, err := s.measureCalm()
	if err != nil {
		return nil, err
	}
	empty, err := proc.Anonymous(s.job.PID)
	if err != nil {
		return nil, err
	}
	s.disturb(true)
	if err := s.flooded(); err != nil {
		return nil, err
	}
	during, err := s.measure(disturbed, s.job.Duration)
	if err != nil {
		return nil, err
	}
	full, err := proc.Anonymous(s.job.PID)
	if err != nil {
		return nil, err
	}
	s.disturb(false)
	return func() (values, error) {
		figures, err := s.beforeAndDuring(before, during)
		if err != nil {
			return nil, err
		}
		figures[metric.Held] = kib(full-empty) / stalledPeers
		figures[metric.Swallowed] = kib(s.taken()) / stalledPeers
		figures[metric.Cut] = float64(s.total(func(l *loop) int64 { return int64(l.cut) }))
		return figures, nil
	}, s.finish(doneTimeout)
}

func kib(bytes int64) float64 { return float64(bytes) / 1024 }

func (s *session) openPaced() error {
	c := s.job.Case
	return s.open(pacer{interval: int64(paceInterval)}, c.Conns, c.Size, NewStream)
}

func (s *session) measureCalm() (span, error) {
	s.begin()
	if err := s.pause(s.warmUp()); err != nil {
		return span{}, err
	}
	return s.measure(calm, s.job.Duration)
}

// flooded waits until the flooders have sent nothing for a tenth of a second, or for 3 s.
func (s *session) flooded() error {
	last := int64(-1)
	for range 30 {
		if s.taken() == last {
			return nil
		}
		last = s.taken()
		if err := s.pause(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) taken() int64 {
	return s.total(func(l *loop) int64 { return l.published.flooded.Load() })
}

func (s *session) beforeAndDuring(before, during span) (values, error) {
	quiet, noisy := s.histogram(calm), s.histogram(disturbed)
	if quiet.TotalCount() == 0 || noisy.TotalCount() == 0 {
		return nil, errors.New("not one message was sent within a window")
	}
	return values{
		metric.CalmP99:      quantile(quiet, 99),
		metric.CalmMax:      micro(time.Duration(quiet.Max())),
		metric.CalmCPU:      before.serverCPU(),
		metric.DisturbedP99: quantile(noisy, 99),
		metric.DisturbedMax: micro(time.Duration(noisy.Max())),
		metric.DisturbedCPU: during.serverCPU(),
		metric.Growth:       quantile(noisy, 99) / quantile(quiet, 99),
	}, nil
}

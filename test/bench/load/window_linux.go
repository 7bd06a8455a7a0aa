package load

import (
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/go-berth/berth/test/bench/proc"
)

// edge is what is read at either end of a window.
type edge struct {
	at          time.Time
	server, own time.Duration
	share       proc.Share    // of the server
	busy        time.Duration // of the machine
	messages    int64
	cycles      int64
}

func (s *session) edge() (edge, error) {
	server, err := proc.CPU(s.job.PID)
	if err != nil {
		return edge{}, err
	}
	share, err := proc.Shared(s.job.PID)
	if err != nil {
		return edge{}, err
	}
	busy, err := proc.Busy()
	if err != nil {
		return edge{}, err
	}
	own, err := proc.CPU(os.Getpid())
	return edge{
		at: time.Now(), server: server, own: own, share: share, busy: busy,
		messages: s.messages(),
		cycles:   s.total(func(l *loop) int64 { return l.published.cycles.Load() }),
	}, err
}

// measure records latencies into a window for the given time, or until maxMessages, and returns
// what changed between its edges.
func (s *session) measure(window int, d time.Duration) (span, error) {
	s.record(window)
	from, err := s.edge()
	if err != nil {
		return span{}, err
	}
	for end := from.at.Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			break
		}
		if err := s.pause(min(left, 20*time.Millisecond)); err != nil {
			return span{}, err
		}
		if s.messages() >= maxMessages {
			break
		}
	}
	to, err := s.edge()
	s.record(-1)
	return span{from: from, to: to, threads: len(s.loops)}, err
}

// histogram merges what the loops recorded in a window; after end.
func (s *session) histogram(window int) *hdrhistogram.Histogram {
	merged := hdrhistogram.New(1, maxLatency, 3)
	for _, l := range s.loops {
		merged.Merge(l.windows[window])
	}
	return merged
}

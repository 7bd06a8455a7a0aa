package load

import (
	"time"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/proc"
)

// runMemory compares the server's memory with a tenth of the connections open and with all of them
// on top. Memory that the server needs once, for any number of connections, cancels out.
func runMemory(s *session) (report, error) {
	c := s.job.Case
	s.begin()
	before, err := s.idleMemory(max(c.Conns/10, 1), c.Size)
	if err != nil {
		return nil, err
	}
	after, err := s.idleMemory(c.Conns, c.Size)
	if err != nil {
		return nil, err
	}
	return func() (values, error) {
		return values{metric.Idle: float64(after-before) / float64(c.Conns)}, nil
	}, s.finish(doneTimeout)
}

// idleMemory opens n more connections, waits for the one echo of each, and reads the server's
// memory when it has come to rest.
func (s *session) idleMemory(n, size int) (int64, error) {
	if err := s.open(idler{}, n, size, NewStream); err != nil {
		return 0, err
	}
	if err := s.drained(doneTimeout); err != nil {
		return 0, err
	}
	return s.restingMemory()
}

// restingMemory is the server's memory once it changed by less than 16 KiB in 100 ms, or after 2 s.
func (s *session) restingMemory() (now int64, err error) {
	const still = 16 << 10
	last := int64(-still)
	for range 20 {
		if now, err = proc.Anonymous(s.job.PID); err != nil || max(now-last, last-now) < still {
			return now, err
		}
		last = now
		if err := s.pause(100 * time.Millisecond); err != nil {
			return 0, err
		}
	}
	return now, nil
}

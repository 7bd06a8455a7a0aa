package load

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// session is one run: the loops, and the server they drive. Its methods are called by one
// goroutine, which sleeps while the loops work.
type session struct {
	job    Job
	loops  []*loop
	stop   chan struct{}
	joined sync.WaitGroup
	errs   chan error // the first error of each loop
	opened int        // connections asked for
}

func newSession(job Job) (*session, error) {
	to, err := netip.ParseAddrPort(job.Addr)
	if err != nil || !to.Addr().Is4() || !to.Addr().IsLoopback() {
		return nil, fmt.Errorf("%q is not an IPv4 loopback address with a port", job.Addr)
	}
	threads := job.Threads
	if threads <= 0 {
		threads = max(1, runtime.NumCPU()/4)
	}
	s := &session{job: job, stop: make(chan struct{}), errs: make(chan error, threads)}
	began := time.Now()
	for range threads {
		l, err := newLoop(to, threads, began)
		if err != nil {
			return nil, err
		}
		s.loops = append(s.loops, l)
	}
	for _, l := range s.loops {
		s.joined.Go(func() {
			if err := l.run(s.stop); err != nil {
				s.errs <- err
			}
		})
	}
	return s, nil
}

// end stops the loops and waits for them; their histograms may be read after it.
func (s *session) end() {
	close(s.stop)
	s.joined.Wait()
}

func (s *session) command(f func(*loop) error) {
	for _, l := range s.loops {
		l.command(f)
	}
}

// open deals n connections of a role out to the loops and waits until all are open.
func (s *session) open(role role, n, size int, stream func(number int) Stream) error {
	for i, l := range s.loops {
		first := s.opened
		l.command(func(l *loop) error {
			for number := first + i; number < first+n; number += len(s.loops) {
				l.add(number, role, stream(number), size)
			}
			return nil
		})
	}
	s.opened += n
	return s.until(openTimeout, func() bool {
		return s.total(func(l *loop) int64 { return l.published.opened.Load() }) >= int64(s.opened)
	}, func() string {
		return fmt.Sprintf("not all %d connections opened within %s", s.opened, openTimeout)
	})
}

// begin starts the load on every open connection.
func (s *session) begin() {
	s.command(func(l *loop) error {
		l.stage = running
		for _, c := range l.conns {
			if !c.open {
				continue
			}
			if err := c.role.start(l, c, l.clock()); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *session) disturb(on bool) {
	s.command(func(l *loop) error { l.disturbed = on; return nil })
}

func (s *session) record(window int) {
	s.command(func(l *loop) error { l.window = window; return nil })
}

// finish sends nothing new, waits until all that is under way came back, and checks that nothing
// more comes than that.
func (s *session) finish(timeout time.Duration) error {
	s.command(func(l *loop) error { l.stage = stopping; return nil })
	// A loop runs a command within its longest sleep; only then does "nothing under way" count.
	if err := s.pause(4 * idleWait * time.Millisecond); err != nil {
		return err
	}
	if err := s.drained(timeout); err != nil {
		return err
	}
	s.command(func(l *loop) error {
		for _, c := range l.conns {
			if c.open {
				if err := l.handle(c, anyInput); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return s.pause(4 * idleWait * time.Millisecond)
}

// drained waits until nothing is under way.
func (s *session) drained(timeout time.Duration) error {
	return s.until(timeout, func() bool { return s.pending() == 0 }, func() string {
		return fmt.Sprintf("%d messages did not come back within %s", s.pending(), timeout)
	})
}

func (s *session) pending() int64 {
	return s.total(func(l *loop) int64 { return l.published.pending.Load() })
}

func (s *session) messages() int64 {
	return s.total(func(l *loop) int64 { return l.published.messages.Load() })
}

func (s *session) total(of func(*loop) int64) int64 {
	var sum int64
	for _, l := range s.loops {
		sum += of(l)
	}
	return sum
}

// pause sleeps, unless a loop fails.
func (s *session) pause(d time.Duration) error {
	select {
	case err := <-s.errs:
		return err
	case <-time.After(d):
		return nil
	}
}

// until waits for a condition; a loop's error or the time limit ends it.
func (s *session) until(limit time.Duration, reached func() bool, late func() string) error {
	for end := time.Now().Add(limit); !reached(); {
		if time.Now().After(end) {
			return errors.New(late())
		}
		if err := s.pause(time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

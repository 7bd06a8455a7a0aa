//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// PollSet is a kqueue: the Poller of an event loop. Wait and Dispatch are called by one goroutine
// at a time, the rest by any.
//
// A kqueue forgets a descriptor when it is closed. Its events carry no generation. If a number was
// reused after its event was fetched, the new descriptor is read, or written, once too often;
// nothing worse happens.
type PollSet struct {
	table
	queue      int
	wakeReader int // a pipe, because not every BSD has user events
	wakeWriter int
	events     [pollBatch]unix.Kevent_t
}

// NewPollSet fails if the process has no descriptor left. Then it leaves nothing open.
func NewPollSet() (*PollSet, error) {
	queue, err := unix.Kqueue()
	if err != nil {
		return nil, fmt.Errorf("berth: no poll set: kqueue: %w", err)
	}
	unix.CloseOnExec(queue)
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		_ = unix.Close(queue)
		return nil, fmt.Errorf("berth: no poll set: pipe: %w", err)
	}
	s := &PollSet{queue: queue, wakeReader: pipe[0], wakeWriter: pipe[1]}
	for _, fd := range pipe {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true)
	}
	if err := s.change(s.wakeReader, unix.EV_ADD, unix.EVFILT_READ); err != nil {
		s.Close()
		return nil, fmt.Errorf("berth: no poll set: kevent: %w", err)
	}
	return s, nil
}

// Close releases the set's own descriptors. No goroutine may be polling.
func (s *PollSet) Close() {
	_ = unix.Close(s.wakeWriter)
	_ = unix.Close(s.wakeReader)
	_ = unix.Close(s.queue)
}

// add watches a connected socket: both directions, edge-triggered, never modified afterwards.
func (s *PollSet) add(fd int, w watcher) error {
	s.enter(fd, w)
	return s.change(fd, unix.EV_ADD|unix.EV_CLEAR, unix.EVFILT_READ, unix.EVFILT_WRITE)
}

// addListener watches a listening socket.
func (s *PollSet) addListener(fd int, w watcher) error {
	s.enter(fd, w)
	return s.change(fd, unix.EV_ADD|unix.EV_CLEAR, unix.EVFILT_READ)
}

// rearmListener makes the set report a listening socket that has clients once more, behind all
// events that are due already.
func (s *PollSet) rearmListener(fd int, w watcher) error { return s.addListener(fd, w) }

// forget stops watching a descriptor that stays open.
func (s *PollSet) forget(fd int, w watcher) {
	s.remove(fd, w)
	_ = s.change(fd, unix.EV_DELETE, unix.EVFILT_READ)
}

func (s *PollSet) change(fd, flags int, filters ...int) error {
	changes := make([]unix.Kevent_t, len(filters))
	for i, filter := range filters {
		unix.SetKevent(&changes[i], fd, filter, flags)
	}
	_, err := unix.Kevent(s.queue, changes, nil, nil)
	return err
}

// Wait implements tcpactor.Poller.
func (s *PollSet) Wait(block bool) int {
	var timeout *unix.Timespec
	if !block {
		timeout = &unix.Timespec{}
	}
	for {
		n, err := unix.Kevent(s.queue, nil, s.events[:], timeout)
		if err == nil {
			return n
		}
		if err != unix.EINTR {
			return 0
		}
	}
}

// Dispatch implements tcpactor.Poller.
func (s *PollSet) Dispatch(n int) {
	for i := range s.events[:n] {
		e := &s.events[i]
		fd := int(e.Ident)
		if fd == s.wakeReader {
			var some [64]byte
			_, _ = unix.Read(fd, some[:])
			continue
		}
		s.mu.Lock()
		var w watcher
		if p := s.page(fd); p != nil {
			w = p.watchers[fd%pageSize]
		}
		s.mu.Unlock()
		if w != nil {
			w.ready(readinessOf(e))
		}
	}
}

func readinessOf(e *unix.Kevent_t) (what readiness) {
	reading := e.Filter == unix.EVFILT_READ
	if reading {
		what |= readyInput
	} else {
		what |= readyOutput
	}
	if e.Flags&unix.EV_EOF == 0 {
		return what
	}
	what |= readyHangup
	if reading {
		what |= readyFinished
	}
	if e.Fflags != 0 { // the socket's error
		what |= readyBroken
	}
	return what
}

// Wake implements tcpactor.Poller.
func (s *PollSet) Wake() {
	one := [1]byte{1}
	_, _ = unix.Write(s.wakeWriter, one[:])
}

package transport

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PollSet is an epoll set: the Poller of an event loop. Wait and Dispatch are called by one
// goroutine at a time, the rest by any.
type PollSet struct {
	table
	epoll  int
	waker  int // an eventfd
	events [pollBatch]unix.EpollEvent
}

// NewPollSet fails if the process has no descriptor left. Then it leaves nothing open.
func NewPollSet() (*PollSet, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("berth: no poll set: epoll_create1: %w", err)
	}
	waker, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("berth: no poll set: eventfd: %w", err)
	}
	s := &PollSet{epoll: epoll, waker: waker}
	if err := s.register(waker, unix.EPOLLIN, 0); err != nil {
		s.Close()
		return nil, fmt.Errorf("berth: no poll set: epoll_ctl: %w", err)
	}
	return s, nil
}

// Close releases the set's own descriptors. No goroutine may be polling.
func (s *PollSet) Close() {
	_ = unix.Close(s.waker)
	_ = unix.Close(s.epoll)
}

// add watches a connected socket: all events, edge-triggered, never modified afterwards.
func (s *PollSet) add(fd int, w watcher) error {
	return s.register(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLPRI|unix.EPOLLRDHUP|unix.EPOLLET, s.enter(fd, w))
}

// addListener watches a listening socket.
func (s *PollSet) addListener(fd int, w watcher) error {
	return s.register(fd, unix.EPOLLIN|unix.EPOLLET, s.enter(fd, w))
}

// rearmListener makes the set report a listening socket that has clients once more, behind all
// events that are due already.
func (s *PollSet) rearmListener(fd int, w watcher) error {
	return s.control(unix.EPOLL_CTL_MOD, fd, unix.EPOLLIN|unix.EPOLLET, s.enter(fd, w))
}

// forget stops watching a descriptor that stays open.
func (s *PollSet) forget(fd int, w watcher) {
	s.remove(fd, w)
	_ = unix.EpollCtl(s.epoll, unix.EPOLL_CTL_DEL, fd, nil)
}

func (s *PollSet) register(fd int, events uint32, generation uint32) error {
	return s.control(unix.EPOLL_CTL_ADD, fd, events, generation)
}

func (s *PollSet) control(operation, fd int, events uint32, generation uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(generation)}
	return epollCtl(s.epoll, operation, fd, &event)
}

// Wait implements tcpactor.Poller.
func (s *PollSet) Wait(block bool) int {
	for {
		var n uintptr
		var errno unix.Errno
		if block {
			n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(s.epoll), uintptr(unsafe.Pointer(&s.events[0])), pollBatch, ^uintptr(0), 0, 0)
		} else {
			n, errno = epollNow(s.epoll, &s.events)
		}
		if errno == 0 {
			return int(n)
		}
		if errno != unix.EINTR {
			return 0 // EBADF and EINVAL, the only others, would be a mistake of ours
		}
	}
}

// Dispatch implements tcpactor.Poller.
func (s *PollSet) Dispatch(n int) {
	for i := range s.events[:n] {
		e := &s.events[i]
		if int(e.Fd) == s.waker {
			var count [8]byte
			_, _ = unix.Read(s.waker, count[:])
			continue
		}
		if w := s.find(int(e.Fd), uint32(e.Pad)); w != nil {
			w.ready(readinessOf(e.Events))
		}
	}
}

func readinessOf(events uint32) (what readiness) {
	if events&unix.EPOLLIN != 0 {
		what |= readyInput
	}
	if events&unix.EPOLLOUT != 0 {
		what |= readyOutput
	}
	// Urgent bytes are like a hang-up in that a read may come back short before the end: it stops
	// where they were.
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLPRI) == 0 {
		return what
	}
	what |= readyHangup
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 {
		what |= readyFinished
	}
	if events&unix.EPOLLERR != 0 {
		what |= readyBroken
	}
	return what
}

// Wake implements tcpactor.Poller.
func (s *PollSet) Wake() {
	one := [8]byte{1}
	_, _ = unix.Write(s.waker, one[:])
}

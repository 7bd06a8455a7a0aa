//go:build berthcycle

package transport

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is in no program: it is built with the tag berthcycle, for the benchmark of one message
// without the kernel's part (test/cycle). A descriptor that Simulate was called with is read and
// written as a socket in memory. All others stay what they are.

// Simulated is a socket in memory, and its client: the client sends a message, and takes an answer
// of the same length.
type Simulated struct {
	fd, generation int32
	message        []byte
	answer         []byte // as much of it as has come
	state          atomic.Uint32
}

// States of a Simulated.
const (
	answered uint32 = iota // the client has its answer
	sent                   // the client has sent a message, of which no event has told
	told                   // an event has
	fetched                // the message is read
)

const mostSimulated = 1 << 14

var (
	simulated  [mostSimulated]*Simulated
	registered [mostSimulated]int32 // the generation of every descriptor
	ready      []*Simulated         // have sent; the poller's
)

// Simulate makes a descriptor that is watched a socket in memory, whose client sends message. No
// call of the connection may be under way.
func Simulate(fd int, message []byte) *Simulated {
	s := &Simulated{fd: int32(fd), generation: registered[fd], message: message, answer: make([]byte, 0, len(message))}
	simulated[fd] = s
	return s
}

// End makes the descriptor a real one again.
func (s *Simulated) End() { simulated[s.fd] = nil }

// Exchange takes the answer and sends the next message. It returns false, and does nothing, if the
// whole answer has not come. It is for the goroutine that polls.
func (s *Simulated) Exchange() bool {
	if s.state.Load() != answered {
		return false
	}
	s.answer = s.answer[:0]
	s.state.Store(sent)
	ready = append(ready, s)
	return true
}

// Descriptor returns the descriptor of p.
func (p *Poll) Descriptor() int { return int(p.fd) }

func recvfrom(fd int, p []byte) (uintptr, unix.Errno) {
	s := simulated[fd]
	if s == nil {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
		return n, errno
	}
	if s.state.Load() != told {
		return 0, unix.EAGAIN
	}
	n := copy(p, s.message)
	s.state.Store(fetched)
	return uintptr(n), 0
}

func sendto(fd int, p []byte) (uintptr, unix.Errno) {
	s := simulated[fd]
	if s == nil {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
		return n, errno
	}
	s.answer = append(s.answer, p...)
	if len(s.answer) == len(s.message) {
		s.state.Store(answered)
	}
	return uintptr(len(p)), 0
}

func epollNow(epoll int, events *[pollBatch]unix.EpollEvent) (uintptr, unix.Errno) {
	if len(ready) == 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), pollBatch, 0, 0, 0)
		return n, errno
	}
	n := min(len(ready), pollBatch)
	for i, s := range ready[:n] {
		s.state.Store(told)
		events[i] = unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT, Fd: s.fd, Pad: s.generation}
	}
	ready = ready[:copy(ready, ready[n:])]
	return uintptr(n), 0
}

func epollCtl(epoll, operation, fd int, event *unix.EpollEvent) error {
	if event != nil && fd < mostSimulated {
		registered[fd] = event.Pad
	}
	return unix.EpollCtl(epoll, operation, fd, event)
}

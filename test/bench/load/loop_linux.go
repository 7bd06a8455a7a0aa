package load

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// stage is where a run stands; it only goes forward.
type stage int

const (
	opening  stage = iota // connections open, and send nothing
	running               // roles send
	stopping              // nothing new is sent; what is under way comes back
)

const (
	maxDialing = 128 // connections being opened at once: well below every server's backlog
	idleWait   = 5   // ms a loop sleeps at most before it looks for commands
	tickWait   = 1   // ms likewise with ticking connections
	maxLatency = int64(time.Minute)
)

// loop is one thread of the generator. Its goroutine owns everything but commands and published.
type loop struct {
	to     netip.AddrPort
	loops  int // how many there are: their connections' numbers interleave
	poll   int
	buffer []byte
	began  time.Time

	conns   []*conn
	ticking []*conn
	wanted  []*conn // still to be dialled
	dialing int

	stage     stage
	disturbed bool
	windows   [2]*hdrhistogram.Histogram
	window    int // the one being recorded; -1: none

	messages, cycles, opened uint64
	flooded, cut             uint64 // bytes flooders got rid of, and how many of them were closed
	pending                  int

	mutex     sync.Mutex
	commands  []func(*loop) error
	commanded atomic.Bool
	published struct{ messages, cycles, opened, flooded, pending atomic.Int64 }
}

func newLoop(to netip.AddrPort, loops int, began time.Time) (*loop, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("no epoll instance: %w", err)
	}
	l := &loop{to: to, loops: loops, poll: poll, buffer: make([]byte, MaxChunk), began: began, window: -1}
	for i := range l.windows {
		l.windows[i] = hdrhistogram.New(1, maxLatency, 3)
	}
	return l, nil
}

// command has the loop call f; errors of f end the loop.
func (l *loop) command(f func(*loop) error) {
	l.mutex.Lock()
	l.commands = append(l.commands, f)
	l.mutex.Unlock()
	l.commanded.Store(true)
}

// run turns until stop says so or an error ends it; the sockets are closed then.
func (l *loop) run(stop <-chan struct{}) error {
	runtime.LockOSThread()
	defer l.close()
	events := make([]unix.EpollEvent, 256)
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := l.obey(); err != nil {
			return err
		}
		if err := l.dialWanted(); err != nil {
			return err
		}
		wait := idleWait
		if len(l.ticking) > 0 {
			wait = tickWait
		}
		n, err := unix.EpollWait(l.poll, events, wait)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for _, event := range events[:max(n, 0)] {
			c := l.conns[event.Fd]
			if err := l.handle(c, event.Events); err != nil {
				return err
			}
		}
		if err := l.tick(); err != nil {
			return err
		}
		l.publish()
	}
}

func (l *loop) obey() error {
	if !l.commanded.Swap(false) {
		return nil
	}
	l.mutex.Lock()
	commands := l.commands
	l.commands = nil
	l.mutex.Unlock()
	for _, f := range commands {
		if err := f(l); err != nil {
			return err
		}
	}
	return nil
}

// handle brings one event to its connection. The role of the connection judges an error.
func (l *loop) handle(c *conn, events uint32) error {
	if c.fd < 0 {
		return nil // closed earlier in the same batch
	}
	var err error
	switch {
	case !c.open:
		err = l.connected(c)
	case c.full && events&unix.EPOLLOUT != 0:
		err = c.flush()
	}
	if err == nil && c.fd >= 0 && c.open && !c.muted && events&^uint32(unix.EPOLLOUT) != 0 {
		closing := events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
		err = c.receive(l, closing)
	}
	if err != nil {
		return c.role.failed(l, c, err)
	}
	return nil
}

func (l *loop) tick() error {
	if len(l.ticking) == 0 {
		return nil
	}
	now := l.clock()
	for _, c := range l.ticking {
		if err := c.role.(ticker).tick(l, c, now); err != nil {
			if err := c.role.failed(l, c, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *loop) publish() {
	l.published.messages.Store(int64(l.messages))
	l.published.cycles.Store(int64(l.cycles))
	l.published.opened.Store(int64(l.opened))
	l.published.flooded.Store(int64(l.flooded))
	l.published.pending.Store(int64(l.pending))
}

// clock is the time since the run began, in nanoseconds; never 0.
func (l *loop) clock() int64 { return int64(time.Since(l.began)) + 1 }

// record counts a message and notes its latency in a window; -1: in none.
func (l *loop) record(window int, latency int64) {
	l.messages++
	if window >= 0 {
		_ = l.windows[window].RecordValue(min(latency, maxLatency)) // fails only above maxLatency
	}
}

func (l *loop) close() {
	for _, c := range l.conns {
		l.hangUp(c)
	}
	unix.Close(l.poll)
}

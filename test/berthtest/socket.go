package berthtest

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol"
)

// Socket is a berth.Socket without a connection. It records what a handler does with it, and the
// test decides the results: Flush takes the queued writes and runs completions, Refuse lets writes
// fail, End ends the connection. It calls no handler: the test delivers events such as Writable.
// Any goroutine may call its methods.
//
// The exported fields are set before the handler gets the socket.
type Socket struct {
	protocol.Sealed

	// Local and Remote are the two addresses.
	Local, Remote net.Addr
	// Proxy is what ProxyHeader returns.
	Proxy *protocol.ProxyHeader
	// TLSState is what TLS returns.
	TLSState *tls.ConnectionState
	// Restarted is what Restarts returns.
	Restarted int

	pid *actor.PID

	mu       sync.Mutex
	calls    []string
	commands []protocol.Command
	writes   [][]byte
	owned    []owned
	queued   []queued
	room     chan struct{} // closed at the next Accept or End
	accepts  int           // writes until the refusal, if there is one
	refusal  error         // of writes, nil if there is room
	refused  int
	ended    error // why no write is accepted any more, nil if they are
	cause    error // of the end, for the completions; nil while Flush means success
	reason   berth.Reason
	state    protocol.State
	paused   bool
	value    any
	timeouts protocol.Timeouts
	stats    protocol.Stats
	born     time.Time
}

var (
	_ berth.Socket     = (*Socket)(nil)
	_ protocol.Proxied = (*Socket)(nil)
)

// owned is memory that the handler has given away, and what it contained then.
type owned struct {
	call         string
	memory, copy []byte
}

// queued is a write that the kernel has not taken, or a command that has not taken effect.
type queued struct {
	write bool
	bytes int
	ends  bool  // a Close or an Abort, which cannot fail
	err   error // is certain already
	done  func(error)
}

// sockets numbers the sockets of a process.
var sockets atomic.Int64

// NewSocket returns a Socket that has room for every write. The test fails if the handler changes
// bytes after it gave them to WriteOwned, WriteBuffers or a Write command.
func NewSocket(t testing.TB) *Socket {
	number := sockets.Add(1)
	s := &Socket{
		Local:  &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7000},
		Remote: &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 50000},
		pid:    actor.NewPID("nonhost", "berthtest/"+strconv.FormatInt(number, 10)),
		room:   make(chan struct{}),
		state:  protocol.StateOpen,
		born:   time.Now(),
	}
	t.Cleanup(func() {
		t.Helper()
		for _, call := range s.changed() {
			t.Errorf("berthtest: the handler changed bytes after it had given them away: %s", call)
		}
	})
	return s
}

// changed returns the calls that gave memory away which was changed since.
func (s *Socket) changed() (calls []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.owned {
		if !bytes.Equal(o.memory, o.copy) {
			calls = append(calls, o.call)
		}
	}
	return calls
}

// mu must be held in wake and in the methods below it.
func (s *Socket) wake() {
	close(s.room)
	s.room = make(chan struct{})
}

// end keeps the first cause of the connection's end. An orderly end has no cause.
func (s *Socket) end(refusal, cause error, reason berth.Reason, state protocol.State) {
	if s.ended == nil {
		s.ended = refusal
	}
	if s.cause == nil {
		s.cause = cause
	}
	if s.reason == protocol.ReasonNone {
		s.reason = reason
	}
	if s.state != protocol.StateClosed {
		s.state = state
	}
	s.wake()
}

// admit accepts or refuses a write.
func (s *Socket) admit() error {
	switch {
	case s.ended != nil:
		return s.ended
	case s.refusal != nil && s.accepts == 0:
		return s.refusal
	case s.refusal != nil:
		s.accepts--
	}
	return nil
}

// record notes a call. A write that is refused has its error.
func (s *Socket) record(call string, err error) {
	if err != nil {
		call += fmt.Sprintf(": %v", err)
	}
	s.calls = append(s.calls, call)
}

// write accepts or refuses one write of p. Its completion gets failed if that is not nil.
func (s *Socket) write(method string, p []byte, failed error, done func(error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.admit()
	s.record(fmt.Sprintf("%s %q", method, p), err)
	if err != nil {
		s.refused++
		return err
	}
	s.writes = append(s.writes, p)
	s.queued = append(s.queued, queued{write: true, bytes: len(p), err: failed, done: done})
	return nil
}

// keep notes memory that the handler has given away.
func (s *Socket) keep(method string, memory, copied []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned = append(s.owned, owned{fmt.Sprintf("%s %q", method, copied), memory, copied})
}

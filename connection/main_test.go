package connection

import (
	"math"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/setup"
)

func TestMain(m *testing.M) { setup.Main(m) }

// asleep is a dispatcher that never runs a turn: the test does the actors' work itself.
type asleep struct{}

func (asleep) Schedule(func()) {}
func (asleep) Throughput() int { return 1 }

// ownSystem is the actor system of these connections, which are no actors. Its event stream has no
// subscriber.
var ownSystem = sync.OnceValue(func() *actor.ActorSystem { return tcpactor.NewSystem() })

// newConnection returns a connection that is open and has no actors, only their state.
func newConnection(options Options, socket transport.Conn) *Connection {
	s := &Spawner{system: ownSystem(), later: func(f func()) { go f() }, publish: func(any) {}, epoch: time.Now()}
	s.Set(nil, options.WithDefaults())
	s.clock.allow(math.MaxInt64)
	c := &Connection{shared: s.current.Load(), socket: socket, timing: newTiming(0, 0)}
	c.demand.Store(unlimited)
	c.writer.c = c
	c.writer.orders.Store(blocked)
	c.rest()
	c.writer.mailbox.Init(&c.writer)
	c.writer.mailbox.RegisterHandlers(nil, asleep{})
	c.setState(open)
	c.flags.tenure = serving
	return c
}

// rest gives the connection a new mailbox, without mail and without a turn to come: all its work is
// done.
func (c *Connection) rest() {
	c.mailbox = tcpactor.Mailbox{}
	c.mailbox.Init(c)
	c.mailbox.RegisterHandlers(nil, asleep{})
	c.mailbox.Start()
}

// taker is a socket that takes as many bytes as the test allows, then says again or fails.
type taker struct {
	transport.Conn // what a test does not expect to be called
	took           []byte
	allow          int
	then           error
	finished       int
	aborted        int
}

func (s *taker) Writev(bufs [][]byte) (written int, err error) {
	for _, p := range bufs {
		n := min(len(p), s.allow)
		s.took = append(s.took, p[:n]...)
		s.allow -= n
		written += n
		if n < len(p) {
			return written, s.then
		}
	}
	return written, nil
}

func (s *taker) SendFile(f *os.File, offset, n int64) (int64, error) {
	p := make([]byte, min(int(n), s.allow))
	got, err := f.ReadAt(p, offset)
	s.took = append(s.took, p[:got]...)
	s.allow -= got
	if err == nil && int64(got) < n {
		err = s.then
	}
	return int64(got), err
}

func (s *taker) Blocks() bool            { return true }
func (s *taker) CloseWrite() error       { s.finished++; return nil }
func (s *taker) CloseNotify() error      { return nil }
func (s *taker) Abort()                  { s.aborted++ }
func (s *taker) Hold(int) bool           { return true }
func (s *taker) Unread() int             { return 0 }
func (s *taker) Progress() (r, w uint64) { return 0, 0 }
func (s *taker) Retry(bool)              {}
func (s *taker) LocalAddr() net.Addr     { return nil }
func (s *taker) RemoteAddr() net.Addr    { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7} }
func (s *taker) EndSeen(bool) (finished bool, err error) {
	return false, nil
}

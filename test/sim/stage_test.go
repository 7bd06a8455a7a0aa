package sim

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/history"
	"github.com/go-berth/berth/test/simnet"
)

// stage is a listener on a simulated network for tests that determine each step themselves. An
// actor of the user owns it.
type stage struct {
	t        *testing.T
	network  simnet.Options
	options  listener.Options
	sim      *simnet.Listener
	system   *actor.ActorSystem
	recorder *history.Recorder
	mail     *history.Mail
	listener *listener.Listener
	owner    *actor.PID
	peers    []*history.Peer
	clients  clientEnds

	mu      sync.Mutex
	sockets map[int]*history.Socket // by connection, from Accepted on
	orders  map[int]string          // by connection: what its handler is to do

	// For handlers that fail once: where, how, and whether they have.
	spot    string
	failure func()
	failed  atomic.Bool
}

// newStage starts a listener. Its owner has the given props' supervision, if there are any.
func newStage(t *testing.T, network simnet.Options, options listener.Options, factory tcpactor.Factory, props ...actor.PropsOption) *stage {
	s := &stage{
		t: t, network: network, options: options, sim: simnet.Listen(network), system: newSystem(),
		recorder: history.NewRecorder(), sockets: map[int]*history.Socket{}, orders: map[int]string{},
	}
	s.recorder.Measure(s.clients.room)
	s.mail = s.recorder.Mail(s.system)
	started := make(chan error, 1)
	s.owner = s.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			var err error
			s.listener, err = listener.Serve(ctx, s.sim, s.recorder.Watch(factory), s.options)
			started <- err
		}
	}, props...))
	require.NoError(t, <-started)
	return s
}

// met is called by handlers in Accepted, and gives the stage their handle.
func (s *stage) met(socket protocol.Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	handle := socket.(*history.Socket)
	s.sockets[handle.Conn()] = handle
}

// socket returns the driver's handle of a connection.
func (s *stage) socket(conn int) *history.Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotNil(s.t, s.sockets[conn], "connection %d was not accepted", conn)
	return s.sockets[conn].As(driver)
}

func (s *stage) dial() *history.Peer {
	conn, err := s.sim.Dial(context.Background())
	require.NoError(s.t, err)
	s.clients.add(conn)
	p := s.recorder.Peer(conn)
	s.peers = append(s.peers, p)
	return p
}

func (s *stage) rest() { s.clients.rest(s.recorder) }

// drain reads from all peers until the end; the function it returns waits for that.
func (s *stage) drain() (wait func()) {
	var reading sync.WaitGroup
	for _, p := range s.peers {
		reading.Go(func() {
			b := make([]byte, piece)
			for {
				if _, err := p.Read(b); err != nil {
					return
				}
			}
		})
	}
	return reading.Wait
}

// finish ends the listener by the given call, if it has not ended yet, and returns the whole
// history. Nothing may be left.
func (s *stage) finish(end func()) []history.Record {
	s.recorder.Note(history.ShutdownBegun)
	end()
	<-s.listener.Done()
	assert.Empty(s.t, actorsOf(s.system, s.listener.PID()), "actors are left")
	assert.Zero(s.t, s.listener.Info().Open, "connections are left")
	s.drain()()
	for _, p := range s.peers {
		_ = p.Close() // again, for some
	}
	s.rest()
	assert.Zero(s.t, s.sim.Open(), "sockets are left")
	s.mail.Close()
	_ = s.system.Root.StopFuture(s.owner).Wait()
	s.recorder.Note(history.Over)
	return s.recorder.Records()
}

func (s *stage) close() { _ = s.listener.Close() }

// world returns what the judge must know.
func (s *stage) world() check.World {
	return check.World{
		Options:        s.options.Connection,
		MaxConnections: s.options.MaxConnections,
		Network:        bufferOf(s.network),
		Instant:        s.network.Latency == 0,
		Lossless:       s.network.Window >= bufferOf(s.network),
	}
}

// within is a context that ends after the given time.
func within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	_ = cancel // it ends by itself: its goroutine must not outlive the bubble
	return ctx
}

// closings returns the Closed of each connection that had one.
func closings(records []history.Record) map[int]*protocol.Closed {
	all := map[int]*protocol.Closed{}
	for _, r := range records {
		if r.Closed != nil {
			all[r.Conn] = r.Closed
		}
	}
	return all
}

package listener

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// server is what the actors of one listener share, and what outlives a restart of any of them.
//
// Its goroutines: the reaper, started by Serve, and the sweep, started with the first connection list, both ended by stopped; the
// pool's, closed and joined by the reaper; one reader per connection, joined by the reaper; the accept loop, the acceptor's.
type server struct {
	system   *actor.ActorSystem
	listener net.Listener
	addr     net.Addr
	door     tcpactor.Door
	options  Options

	pool       *tcpactor.Pool
	polling    *polling         // nil with the stream transport
	dispatcher actor.Dispatcher // of connections: the pool or the crew
	readers    sync.WaitGroup
	sweeping   sync.WaitGroup
	permits    *limiter

	spawner atomic.Pointer[connection.Spawner] // set by the first start

	gate      sync.Mutex
	suspended bool
	resumed   chan struct{} // closed while accepting; under gate
	kicks     atomic.Uint64 // how often Accept was called back

	acceptCount  atomic.Uint64
	rejectCount  atomic.Uint64
	acceptErrors atomic.Uint64
	spawned      atomic.Uint64 // connections made
	gone         atomic.Uint64 // of those, how many have ended, actors and all
	orphans      atomic.Bool   // the end of a connection may come to nobody: gone can no longer be relied on
	ended        chan struct{} // signalled when one ends; room for one signal

	loops     sync.WaitGroup // accept loops
	deadlines chan time.Time // a shutdown's deadline, and every earlier one that hurries it
	closing   chan struct{}  // closed when accepting ends for good
	draining  chan struct{}  // closed when the connections know that they drain
	outcome   *ShutdownError // written before drained is closed; nil: orderly
	drained   chan struct{}
	stopped   chan struct{} // closed when the supervisor has stopped
	done      chan struct{} // closed when nothing of ours is left
}

// startConnections spawns the parent of the connections, always under the same name: there are connections that know it.
func (s *server) startConnections(ctx actor.Context) *actor.PID {
	children, err := ctx.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return &connections{s} },
		actor.WithDispatcher(s.dispatcher), actor.WithSupervisor(stopFailing)), "connections")
	if err != nil {
		panic(err) // the one before has ended, so the name is free; whoever supervises us decides
	}
	return children
}

// begin is done once, by the supervisor's first start.
func (s *server) begin(children *actor.PID) {
	if s.spawner.Load() == nil {
		s.spawner.Store(connection.NewSpawner(connection.Config{
			System:     s.system,
			Parent:     children,
			Door:       s.door,
			Options:    s.options.Connection,
			Dispatcher: s.dispatcher,
			Ended:      func(*connection.Connection) { s.freed() },
		}))
		go s.sweep()
		s.publish(&Started{Addr: s.addr})
	}
}

func (s *server) acceptorProps() *actor.Props {
	if s.polling != nil {
		return s.polling.props()
	}
	return actor.PropsFromProducer(func() actor.Actor { return &acceptor{server: s} }, actor.WithDispatcher(s.pool))
}

// mayLoop lets an accept loop begin, unless accepting has ended for good: then drain has counted the loops already.
func (s *server) mayLoop() bool {
	s.gate.Lock()
	defer s.gate.Unlock()
	select {
	case <-s.closing:
		return false
	default:
	}
	s.loops.Add(1)
	return true
}

// mayAccept waits while accepting is suspended and, where clients are to wait for a permit, until it holds one. False: the loop ends.
func (s *server) mayAccept(stop <-chan struct{}) bool {
	select {
	case <-stop:
	case <-s.closing:
	case <-s.resumedChan():
	}
	select { // again: of several that are ready, select takes any
	case <-stop:
		return false
	case <-s.closing:
		return false
	default:
	}
	return s.options.WhenFull != Wait || s.permits.take(stop)
}

// notAccepted gives back what mayAccept took.
func (s *server) notAccepted() {
	if s.options.WhenFull == Wait {
		s.permits.give()
	}
}

// acceptsNow is mayAccept for an acceptor that must not wait: it will be scheduled when the answer may have changed.
func (s *server) acceptsNow() bool {
	select {
	case <-s.resumedChan():
	default:
		return false
	}
	return s.options.WhenFull != Wait || s.permits.try()
}

// accepted makes a connection of conn, or turns it away.
func (s *server) accepted(conn net.Conn) {
	if !s.admit(conn) {
		_ = conn.Close()
		return
	}
	s.tune(conn)
	if s.options.TLSConfig != nil {
		conn = tls.Server(conn, s.options.TLSConfig)
	}
	s.spawn(transport.NewStream(conn, &s.readers))
}

// admit decides whether a client that was accepted may stay, where clients are not left waiting before.
func (s *server) admit(client interface{ RemoteAddr() net.Addr }) bool {
	s.acceptCount.Add(1)
	if s.options.WhenFull != Reject || s.permits.try() {
		return true
	}
	s.rejectCount.Add(1)
	s.publish(&Rejected{RemoteAddr: client.RemoteAddr()})
	return false
}

func (s *server) spawn(conn transport.Conn) {
	s.spawned.Add(1)
	s.spawner.Load().Spawn(conn)
}

// freed gives the permit of an ended connection back.
func (s *server) freed() {
	s.permits.give()
	if s.polling != nil {
		s.polling.Schedule()
	}
	if s.orphans.Load() {
		s.signalEnded()
	}
}

// acceptFailed reports a failed accept; the next one is tried after wait.
func (s *server) acceptFailed(err error, wait time.Duration) {
	s.acceptErrors.Add(1)
	s.publish(&AcceptFailed{Addr: s.addr, Err: err, Wait: wait})
}

// left takes note that the actors of one connection have ended.
func (s *server) left() {
	s.gone.Add(1)
	s.signalEnded()
}

// orphaned takes note that the parent of the connections stops before them: their own list must tell when the last one has ended.
func (s *server) orphaned() {
	s.orphans.Store(true)
	s.signalEnded()
}

func (s *server) signalEnded() {
	select {
	case s.ended <- struct{}{}:
	default:
	}
}

// empty reports that every connection has ended.
func (s *server) empty() bool {
	return s.gone.Load() == s.spawned.Load() || s.orphans.Load() && s.open() == 0
}

// open returns how many connections there are.
func (s *server) open() int {
	if spawner := s.spawner.Load(); spawner != nil {
		return spawner.Len()
	}
	return 0
}

// tune sets the socket options that a net.ListenConfig does not. Their errors are those of a connection that is gone already; reading will say so.
func (s *server) tune(conn net.Conn) {
	if c, ok := conn.(interface{ SetNoDelay(bool) error }); ok && s.options.DisableNoDelay {
		_ = c.SetNoDelay(false)
	}
	if c, ok := conn.(interface{ SetReadBuffer(int) error }); ok && s.options.RecvBufferSize > 0 {
		_ = c.SetReadBuffer(s.options.RecvBufferSize)
	}
	if c, ok := conn.(interface{ SetWriteBuffer(int) error }); ok && s.options.SendBufferSize > 0 {
		_ = c.SetWriteBuffer(s.options.SendBufferSize)
	}
}

// kick frees a blocked Accept without closing the socket. False: this listener cannot.
func (s *server) kick() bool {
	select {
	case <-s.closing:
		return true // the socket is closed: nobody is blocked
	default:
	}
	s.kicks.Add(1)
	l, ok := s.listener.(interface{ SetDeadline(time.Time) error })
	return ok && l.SetDeadline(time.Unix(1, 0)) == nil
}

// isKick reports that Accept returned because of a kick that came after so many. A deadline that passed without one is
// the listener's own affair, and a failure like any other: to try again at once would be to try for ever.
func (s *server) isKick(err error, kicks uint64) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && s.kicks.Load() != kicks
}

func (s *server) suspend(suspended bool) {
	s.gate.Lock()
	defer s.gate.Unlock()
	if suspended == s.suspended {
		return
	}
	s.suspended = suspended
	if suspended {
		s.resumed = make(chan struct{})
		s.kick()
	} else {
		s.unkick()
		close(s.resumed)
		if s.polling != nil {
			s.polling.Schedule()
		}
	}
}

func (s *server) unkick() {
	if l, ok := s.listener.(interface{ SetDeadline(time.Time) error }); ok {
		_ = l.SetDeadline(time.Time{})
	}
}

func (s *server) resumedChan() <-chan struct{} {
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.resumed
}

func (s *server) info() protocol.ListenerInfo {
	s.gate.Lock()
	accepting := !s.suspended
	s.gate.Unlock()
	select {
	case <-s.closing:
		accepting = false
	default:
	}
	return protocol.ListenerInfo{
		Addr:           s.addr.String(),
		Accepting:      accepting,
		Open:           s.open(),
		MaxConnections: s.options.MaxConnections,
		Accepted:       s.acceptCount.Load(),
		Rejected:       s.rejectCount.Load(),
		AcceptErrors:   s.acceptErrors.Load(),
	}
}

func (s *server) publish(event any) { s.system.EventStream.Publish(event) }

package listener

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"

	"github.com/go-berth/berth/listener/internal/admission"
)

// server is the state that the actors of one listener share. It outlives a restart of any of them.
//
// Its goroutines: the reaper, started by Serve, and the sweep, started with the first connection
// list, both ended by stopped; the pool's, closed and joined by the reaper; one reader per
// connection, joined by the reaper; the accept loop, the acceptor's.
type server struct {
	system  *actor.ActorSystem
	addr    net.Addr
	factory tcpactor.Factory
	owner   *actor.PID // nil: none is watched

	replacing sync.Mutex              // held while options are replaced
	given     atomic.Pointer[Options] // as the user gave them
	current   atomic.Pointer[Options] // the same with defaults; see options
	config    net.ListenConfig        // of the listening socket, as far as keep-alive probes go
	sooner    chan struct{}           // tells the sweep that the limits have changed; room for one signal

	listenSockets

	admission  *admission.Admission
	held       held
	queue      clientQueue
	refusals   refusals
	rejections rejections

	pool        *tcpactor.Pool
	polling     *polling           // nil with the stream transport
	dispatchers []actor.Dispatcher // of connections: the pool or the loops
	readers     sync.WaitGroup
	sweeping    sync.WaitGroup
	connects    connects // the dials by message

	spawner atomic.Pointer[connection.Spawner] // set by the first start
	budget  *connection.Budget                 // nil without a MemoryBudget
	begun   chan struct{}                      // closed when connections can be made
	counter counter
	counts

	posts []*post // by acceptor; the supervisor's
	mail  mail    // the supervisor's

	ending
}

// counts are those of accepts and of connections. Any goroutine may call their methods.
type counts struct {
	acceptCount  atomic.Uint64
	acceptErrors atomic.Uint64
	spawned      atomic.Uint64 // connections made
	gone         atomic.Uint64 // of those, how many have ended, actors and all
	handOvers    atomic.Uint64
	orphans      atomic.Bool   // gone may miss an end from now on
	ended        chan struct{} // signalled when one ends; room for one signal
}

// options returns the options in force for connections that are accepted from now on. Two calls may
// return different options.
func (s *server) options() *Options { return s.current.Load() }

// startConnections spawns the parent of the connections. Its name is always the same, because
// connections know it.
func (s *server) startConnections(ctx actor.Context) *actor.PID {
	c := &connections{server: s}
	c.mailbox.Init(c)
	children, err := ctx.SpawnNamed(actor.PropsFromProducer(func() actor.Actor { return c },
		actor.WithDispatcher(s.dispatchers[0]), actor.WithMailbox(func() actor.Mailbox { return &c.mailbox }),
		actor.WithSupervisor(stopFailing)), "connections")
	if err != nil {
		panic(err) // the one before has ended, so the name is free; the supervisor above decides
	}
	return children
}

// begin is done once, by the supervisor's first start.
func (s *server) begin(children *actor.PID) {
	if s.spawner.Load() != nil {
		return
	}
	s.replacing.Lock() // options must not be replaced between the reading and the storing
	spawner := connection.NewSpawner(connection.Config{
		System:      s.system,
		Addr:        s.addr,
		Parent:      children,
		Factory:     s.factory,
		Options:     s.options().Connection,
		Dispatchers: s.dispatchers,
		Budget:      s.budget,
		Readers:     &s.readers,
		Sooner:      s.sweepSooner,
		Ended:       func(*connection.Connection) { s.signalEnded() },
		Counted:     s.counter.set,
		Publish:     s.publish,
		Call:        func(callback func()) { _ = s.call(callback) },
	})
	spawner.SetLingerers(s.options().mostLingering())
	s.spawner.Store(spawner)
	s.replacing.Unlock()
	close(s.begun)
	seam.Go(s.sweep)
	s.publish(&Started{Addr: s.addr})
	for _, warning := range s.warnings() {
		s.publish(&warning)
	}
}

// left takes note that the actors of one connection have ended.
func (s *counts) left() {
	s.gone.Add(1)
	s.signalEnded()
}

// orphaned takes note that the parent of the connections stops before them: their own list must
// tell when the last one has ended.
func (s *counts) orphaned() {
	s.orphans.Store(true)
	s.signalEnded()
}

func (s *counts) signalEnded() {
	select {
	case s.ended <- struct{}{}:
	default:
	}
}

// empty reports that every connection has ended.
func (s *server) empty() bool {
	return s.gone.Load() == s.spawned.Load() || s.orphans.Load() && s.open() == 0
}

// connections returns all connections.
func (s *server) connections() (all []protocol.Socket) {
	if spawner := s.spawner.Load(); spawner != nil {
		for _, c := range spawner.Live() {
			all = append(all, c)
		}
	}
	return all
}

// open returns how many connections there are.
func (s *server) open() int {
	if spawner := s.spawner.Load(); spawner != nil {
		return spawner.Len()
	}
	return 0
}

func (s *server) info() protocol.ListenerInfo {
	info := protocol.ListenerInfo{
		Addr:           s.addr.String(),
		Accepting:      s.mode.Load() == accepting && !s.shutDown() && len(s.filled(true)) > 0,
		MaxConnections: s.options().MaxConnections,
		Accepted:       s.acceptCount.Load(),
		Refused:        s.refusals.all(),
		AcceptErrors:   s.acceptErrors.Load(),
		Waiting:        s.queue.len(),
		HandOvers:      s.handOvers.Load(),
	}
	if spawner := s.spawner.Load(); spawner != nil {
		t := spawner.Totals()
		info.Open, info.ByState, info.Detached, info.Lingering = t.Open, t.ByState, t.Detached, t.Lingering
		info.Ended, info.Read, info.Written = t.Ended, t.Read, t.Written
		info.QueuedWrites, info.QueuedBytes = t.QueuedWrites, t.QueuedBytes
		info.Paused, info.Full = t.Paused, t.Full
	}
	if b := s.budget; b != nil {
		info.BufferedBytes, info.Throttled, info.OverBudget = b.Held(), b.Waiting(), b.Refused()
	}
	return info
}

// calledFromHandler reports that the caller is the user's code on the turn of a connection. The end
// of the listener waits for such a turn.
func (s *server) calledFromHandler() bool {
	spawner := s.spawner.Load()
	return spawner != nil && spawner.Encloses()
}

// publish tells the subscribers of the event stream, which are the user's code.
func (s *server) publish(event any) {
	if _, theirs := event.(*actor.SupervisorEvent); !theirs && !tcpactor.Heard(s.system, event) {
		return // it would cost a goroutine, for each connection and each client that is turned away
	}
	err := s.call(func() { s.system.EventStream.Publish(event) })
	if err != nil && err != errAbsent { //nolint:errorlint // it is never wrapped
		s.system.Logger().Error("berth: a subscriber of the event stream failed", "event", fmt.Sprintf("%T", event), "error", err)
	}
}

package connection

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
)

// Spawner makes the connections of one listener and keeps the list of the live ones. It holds what
// they have in common: options, limits, props.
//
// Any goroutine may call its methods, except Sweep, which one goroutine calls.
type Spawner struct {
	system *actor.ActorSystem
	parent actor.SpawnerContext // of the actor that gets the connections' failures and Terminated
	onEnd  func(*Connection)
	onLen  func(int)
	later  func(func())
	epoch  time.Time
	addr   net.Addr

	publish func(event any)
	call    func(callback func())

	dispatchers    []actor.Dispatcher
	current        atomic.Pointer[settings] // of the next connections
	shortest       atomic.Int64             // of the limits that any connection may have been given; see Interval
	own            atomic.Int64             // of those that SetTimeouts gave, 0 if there are none; see noteOwn
	closing        atomic.Bool              // LingerTimeout bounds a wait, as far as is known; see noteClosing
	noting         sync.Mutex               // held while shortest and shortestLinger are lowered
	shortestLinger atomic.Int64             // the shortest LingerTimeout that any connection may have been given
	sooner         func()                   // makes the sweep look at its interval again; nil: not needed
	dealt          atomic.Uint32            // see spread

	spawning sync.Mutex
	next     *Connection // the connection being spawned, and where; under spawning
	nextLane lane
	writerID string

	mu         sync.Mutex
	live       []*Connection // under mu, as what follows; Connection.index is where in it
	detached   int           // of those, how many hold no Permit any more because of Detach
	lingerers  lingerers
	ended      ended
	drainUntil atomic.Pointer[time.Time]

	budget  *Budget         // nil: none
	readers *sync.WaitGroup // of the handshakes of StartTLS; nil: not waited for

	clock clock

	// The sweep only.
	swept   []*Connection // scratch
	sweptAt time.Duration // what clock showed at the last sweep
	behind  time.Duration // by how much clock was behind then

	warner warner
}

// settings are shared by the connections that are spawned while they are in force.
type settings struct {
	*Spawner
	factory tcpactor.Factory
	options Options
	limits  limits
	lanes   []lane // one for each of the dispatchers

	mostNeeded int // see Buffer.Need
}

// lane is the place where connections and their writers run. Props are shared; the producer gives
// out what differs between two connections.
type lane struct{ connection, writer *actor.Props }

// Config has the parts of a Spawner.
type Config struct {
	System  *actor.ActorSystem
	Addr    net.Addr // of the listener, for the events
	Parent  *actor.PID
	Factory tcpactor.Factory
	Options Options // with defaults and valid
	// Dispatchers run connections and writers, each connection's on one of them;
	// Options.Dispatcher, if there is one, runs the connections instead.
	Dispatchers []actor.Dispatcher
	// Budget, if not nil, bounds their memory.
	Budget *Budget
	// Readers, if not nil, is done when the goroutines of the handshakes that StartTLS begins have
	// ended.
	Readers *sync.WaitGroup
	// Sooner is called when a limit has become shorter, so that the next Sweep may have to come
	// sooner (see Interval): it must not wait. It may be nil.
	Sooner func()
	// Ended is called once for each connection, when nothing of it is left but its actor's
	// Terminated to the parent.
	Ended func(*Connection)
	// Counted is called at every change of Len, in order: it must not wait, nor call back.
	Counted func(open int)
	// Publish tells the subscribers of the event stream, even if their code fails. Any goroutine
	// calls it.
	Publish func(event any)
	// Call runs a callback of the user's that is not on the turn of a connection, and waits for it,
	// unless the callback may be waiting for the end of this Spawner. Any goroutine calls it.
	Call func(callback func())
}

// NewSpawner returns a spawner without connections.
func NewSpawner(config Config) *Spawner {
	s := &Spawner{
		system:      config.System,
		addr:        config.Addr,
		parent:      tcpactor.LightParent(config.System, config.Parent),
		onEnd:       config.Ended,
		onLen:       config.Counted,
		later:       config.Dispatchers[0].Schedule,
		epoch:       time.Now(),
		publish:     config.Publish,
		call:        config.Call,
		dispatchers: config.Dispatchers,
		budget:      config.Budget,
		readers:     config.Readers,
		sooner:      config.Sooner,
	}
	s.Set(config.Factory, config.Options)
	s.clock.allow(s.untilNext())
	return s
}

// Set puts a factory, and options with defaults and valid, in force for the connections spawned
// from now on.
func (s *Spawner) Set(factory tcpactor.Factory, options Options) {
	next := &settings{Spawner: s, factory: factory, options: options, limits: options.limits(), mostNeeded: s.mostNeeded(&options)}
	for _, dispatcher := range s.dispatchers {
		next.lanes = append(next.lanes, s.newLane(dispatcher, options.Dispatcher))
	}
	s.noteLimits(&options)
	s.current.Store(next)
}

// newLane returns a lane that runs the writers on dispatcher, and the connections too unless the
// user has set a dispatcher for handlers.
func (s *Spawner) newLane(dispatcher, handlers actor.Dispatcher) lane {
	if handlers == nil {
		handlers = dispatcher
	}
	return lane{
		connection: actor.PropsFromProducer(func() actor.Actor { return s.next },
			actor.WithDispatcher(handlers),
			actor.WithMailbox(func() actor.Mailbox { return &s.next.mailbox }),
			actor.WithOnInit(s.initialise)),
		writer: actor.PropsFromProducer(func() actor.Actor { return &s.next.writer },
			actor.WithDispatcher(dispatcher),
			actor.WithMailbox(func() actor.Mailbox { return &s.next.writer.mailbox })),
	}
}

// Spawn makes the connection of socket, which belongs to it from now on, as permit does. It runs on
// the given one of the dispatchers.
func (s *Spawner) Spawn(socket transport.Conn, lane int, permit *Permit) *Connection {
	if permit.Admit != nil {
		socket = transport.NewProxied(socket, permit.Admit)
	}
	return s.spawn(s.newConnection(s.current.Load(), socket, permit), lane)
}

// newConnection returns a connection that has no actor yet.
func (s *Spawner) newConnection(shared *settings, socket transport.Conn, permit *Permit) *Connection {
	now := s.now()
	c := &Connection{shared: shared, socket: socket, permit: permit, born: now, timing: newTiming(s.clock.now(now), s.spread())}
	if shared.options.ReadMode == Push {
		c.demand.Store(unlimited)
	}
	if s.budget != nil {
		c.makeRare().share = new(share)
	}
	c.writer.c = c
	c.writer.orders.Store(blocked)
	c.mailbox.InitMortal(c)
	c.writer.mailbox.InitMortal(&c.writer)
	return c
}

func (s *Spawner) spawn(c *Connection, lane int) *Connection {
	s.spawning.Lock()
	defer s.spawning.Unlock()
	s.next, s.nextLane = c, c.shared.lanes[lane]
	id, writerID := tcpactor.NewIDs(s.parent, "writer")
	s.writerID = writerID
	// The id is new, so the name cannot exist: the only error there is cannot happen.
	_, _ = tcpactor.SpawnLight(s.parent, id, s.nextLane.connection)
	s.next = nil
	return c
}

// initialise runs before the connection's first turn. It gives the connection its PID and its
// writer, and lists it.
func (s *Spawner) initialise(ctx actor.Context) {
	s.next.pid = ctx.Self()
	s.next.register()
	s.next.writer.pid, _ = tcpactor.SpawnLight(ctx, s.writerID, s.nextLane.writer)
	s.add(s.next)
}

func (s *Spawner) now() time.Duration { return time.Since(s.epoch) }

func (s *Spawner) add(c *Connection) {
	s.mu.Lock()
	c.index = int32(len(s.live))
	s.live = append(s.live, c)
	s.onLen(len(s.live))
	s.mu.Unlock()
}

func (s *Spawner) remove(c *Connection) {
	s.mu.Lock()
	last := len(s.live) - 1
	s.live[c.index] = s.live[last]
	s.live[c.index].index = c.index
	s.live[last] = nil
	s.live = s.live[:last]
	s.onLen(last)
	permit := c.permit
	c.permit = nil
	switch permit {
	case nil:
		s.detached--
	case waitsForFIN:
		s.lingerers.left()
		permit = nil
	}
	s.ended.add(c)
	s.mu.Unlock()
	if permit != nil {
		permit.Leave()
	}
	s.onEnd(c)
}

// Live returns the connections that have not ended, in no order.
func (s *Spawner) Live() []*Connection { return s.appendLive(nil) }

// Len returns the number of connections that have not ended.
func (s *Spawner) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}

func (s *Spawner) appendLive(to []*Connection) []*Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(to, s.live...)
}

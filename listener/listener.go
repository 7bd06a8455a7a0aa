package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/missing"
	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"

	"github.com/go-berth/berth/listener/internal/admission"
)

// Listener is the handle on a running listener. Any goroutine may call its methods, also after the
// end.
type Listener struct {
	server *server
	pid    *actor.PID
}

// Listen opens addr ("host:port", all interfaces without a host, as in package net; a path for unix
// sockets) and serves it. It returns once the address is bound. The error is about a bad option or
// comes from the bind; then nothing was started. An addr that is empty or has an empty port is an
// error; port 0 is any free port.
//
// The path of a unix socket is removed when the listener ends, if it still leads to this socket. On
// Linux Listen takes over a path that a killed process left, where the kernel refuses clients. The
// bind fails on a path where a process listens, and on one that is no socket.
//
// spawner is an actor system's root context, or the context of any actor, called on that actor's
// turn. Then the listener is that actor's child, and is stopped and drained with it.
func Listen(spawner actor.SpawnerContext, addr string, factory tcpactor.Factory, options Options) (*Listener, error) {
	if err := check(spawner, factory, options); err != nil {
		return nil, err
	}
	o := options.withDefaults()
	if err := checkAddr(o.Network, addr); err != nil {
		return nil, err
	}
	sockets, err := o.bindAll(addr)
	if err != nil {
		return nil, err
	}
	bound := sockets[0].Addr().String()
	handle, err := serve(spawner, sockets, factory, options, func() (net.Listener, error) { return o.bind(bound) })
	if err != nil {
		closeAll(sockets)
	}
	return handle, err
}

// Serve serves the connections of l, which belongs to the listener from now on, unless there is an
// error. It may be any net.Listener; Network and ListenConfig have no effect on it. Other options
// for sockets act on connections that have the methods of a *net.TCPConn for them, or whose NetConn
// method returns such a connection, as that of a *tls.Conn does.
//
// A connection whose peer takes nothing is interrupted by a past write deadline shortly before
// WriteTimeout or IdleTimeout would end it, so that its Write tells how much of the bytes went out.
// A *tls.Conn cannot go on after that, so it is not interrupted: there progress means a piece of up
// to 16 KiB, and up to 4 KiB once the peer was slow. With TLSConfig every byte counts. A connection
// with a method ResumesWrites() bool that returns true says that its Write always tells how many
// bytes it took, and that the next one goes on behind them. Such a connection is interrupted more
// often, so every byte counts as soon as it is sent.
func Serve(spawner actor.SpawnerContext, l net.Listener, factory tcpactor.Factory, options Options) (*Listener, error) {
	if missing.Is(l) {
		return nil, errors.New("berth: no net.Listener to serve")
	}
	if err := check(spawner, factory, options); err != nil {
		return nil, err
	}
	if options.ReusePort {
		return nil, errServeReusePort
	}
	if err := checkOpen(l); err != nil {
		return nil, fmt.Errorf("berth: the net.Listener to serve: %w", err)
	}
	return serve(spawner, []net.Listener{l}, factory, options, nil)
}

// checkOpen returns an error that matches net.ErrClosed if a socket of the system's own is closed.
func checkOpen(socket any) error {
	s, is := socket.(syscall.Conn)
	if !is {
		return nil
	}
	raw, err := s.SyscallConn()
	if err == nil {
		err = raw.Control(func(uintptr) {})
	}
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func check(spawner actor.SpawnerContext, factory tcpactor.Factory, options Options) error {
	if err := checkSpawner(spawner); err != nil {
		return err
	}
	if err := checkFactory(factory); err != nil {
		return err
	}
	return options.validate()
}

func checkSpawner(spawner actor.SpawnerContext) error {
	if missing.Is(spawner) {
		return errors.New("berth: no spawner: give an actor system's Root, or the context of an actor")
	}
	return checkSystem(spawner.ActorSystem())
}

func checkFactory(factory tcpactor.Factory) error {
	if missing.Is(factory) {
		return errors.New("berth: no handler: give one of HandlerFunc, Handlers, Functions, Actors")
	}
	if d, ok := factory.(interface{ Validate() error }); ok {
		return d.Validate()
	}
	return nil
}

// serve starts a listener at sockets, which have one address; its options are valid. bind opens
// another there in place of one that was closed; nil means that this cannot be done.
func serve(
	spawner actor.SpawnerContext, sockets []net.Listener, factory tcpactor.Factory, given Options, bind func() (net.Listener, error),
) (*Listener, error) {
	l := sockets[0]
	s := newServer(spawner.ActorSystem(), l.Addr(), given, len(sockets))
	s.bind, s.origin, s.factory = bind, originOf(l), factory
	if bind == nil {
		s.config = configOf(l)
	}
	options := s.options()
	polls, err := options.polls(l)
	if err == nil {
		err = options.ProxyProtocol.suits(s.addr)
	}
	if err == nil {
		err = s.equip(polls, options.Acceptors)
	}
	if err != nil {
		return nil, err
	}
	if err := s.installLocked(s.filled(false), sockets); err != nil {
		if s.polling != nil {
			s.polling.close()
		}
		return nil, err
	}
	return s.start(spawner, "listener"), nil
}

// newServer returns a server for so many listening sockets, without any yet. The options are valid.
func newServer(system *actor.ActorSystem, addr net.Addr, given Options, slots int) *server {
	given = given.clone()
	options := given.withDefaults()
	s := &server{
		system:        system,
		addr:          addr,
		owner:         options.Owner,
		sooner:        make(chan struct{}, 1),
		listenSockets: newListenSockets(slots),
		pool:          tcpactor.NewPool(),
		begun:         make(chan struct{}),
		counts:        counts{ended: make(chan struct{}, 1)},
		ending:        newEnding(),
	}
	s.openOne = s.bindNow
	s.given.Store(&given)
	s.current.Store(&options)
	s.config = options.ListenConfig
	s.budget = s.newBudget()
	s.admission = admission.New(options.rules(s.addr), func() { s.intake.nudge(); s.serveQueueSoon() }, s.refusedBehindProxy)
	s.counter.alarms.run, s.counter.alarms.call = s.pool.Schedule, s.call
	s.counter.alarms.failed = func(alarm string, err error) { s.publish(&AlarmFailed{Addr: s.addr, Alarm: alarm, Err: err}) }
	s.counter.alarms.raised = func(alarm string, open int) { s.publish(&AlarmRaised{Addr: s.addr, Alarm: alarm, Open: open}) }
	s.counter.setAlarms(options.Alarms)
	return s
}

// equip gives the server its transport: the intake, and the dispatchers of connections. The last of
// them is the pool, for connections that are not polled.
func (s *server) equip(polls bool, acceptors int) (err error) {
	s.intake = newStreaming(s, len(s.slots))
	if polls {
		if s.polling, err = newPolling(s, acceptors, len(s.slots)); err != nil {
			return err
		}
		s.intake, s.dispatchers = s.polling, s.polling.dispatchers()
	}
	s.dispatchers = append(s.dispatchers, s.pool)
	return nil
}

// start spawns the supervisor.
func (s *server) start(spawner actor.SpawnerContext, prefix string) *Listener {
	s.sweeping.Add(1)
	seam.Go(s.reap)
	s.mail.server = s
	s.mail.Init(&s.mail)
	props := actor.PropsFromProducer(func() actor.Actor { return &supervisor{server: s} },
		actor.WithDispatcher(s.pool), actor.WithMailbox(func() actor.Mailbox { return &s.mail }))
	return &Listener{server: s, pid: spawner.SpawnPrefix(props, prefix)}
}

// String names the listener, for logs, and does not read its state.
func (l *Listener) String() string {
	return "listener " + l.pid.GetId() + " at " + l.server.addr.String()
}

// GoString is String, for %#v.
func (l *Listener) GoString() string { return l.String() }

// Addr returns the bound address.
func (l *Listener) Addr() net.Addr { return l.server.addr }

// PID returns the address of the listener's actor: for SuspendAccepting, ResumeAccepting, Shutdown,
// GetInfo, for Watch and Stop.
func (l *Listener) PID() *actor.PID { return l.pid }

// ActorSystem returns the system that the listener runs in. Its EventStream has the listener's
// events.
func (l *Listener) ActorSystem() *actor.ActorSystem { return l.server.system }

// Info describes the listener at this moment.
func (l *Listener) Info() protocol.ListenerInfo { return l.server.info() }

// Connections returns the open connections, in no order.
func (l *Listener) Connections() []protocol.Socket { return l.server.connections() }

// WaitConnections returns nil once cond holds for the number of open connections. It sees every
// number, however briefly it lasts; it is called on the calling goroutine. The error is ctx's or,
// once the listener has ended and none are open any more, one that matches net.ErrClosed.
func (l *Listener) WaitConnections(ctx context.Context, cond func(open int) bool) error {
	if cond == nil {
		return errors.New("berth: no condition to wait for")
	}
	return l.server.counter.wait(ctx, cond, l.server.done)
}

// Suspend stops accepting; clients wait in the kernel's backlog. A listener that refuses clients
// goes on doing so. Once the listener shuts down it does nothing.
func (l *Listener) Suspend() { _ = l.server.suspend() }

// SuspendRefusing stops accepting and closes the listening sockets, so that the kernel refuses
// clients. Clients that wait in the backlog are accepted first, as far as MaxConnections allows.
// The listener does not keep the port: another program can take it. Another process that has the
// socket goes on accepting there. For a listener made by Serve it returns an error and changes
// nothing, because the socket could not be opened again.
func (l *Listener) SuspendRefusing() error { return l.server.suspendRefusing() }

// Resume accepts again. Listening sockets that were closed are opened again at the same address and
// port. If that fails, Resume returns the bind's error, the listener stays suspended, and Resume
// may be called again. Once the listener shuts down the error is ErrClosed.
func (l *Listener) Resume() error { return l.server.resume() }

// Shutdown ends the listener in an orderly way. It accepts no more clients, and every handler gets
// Draining. Connections that are quiet, or that their handlers close, are flushed and closed.
// Shortly before ctx's deadline (ShutdownTimeout if it has none) the other connections are closed.
// At the deadline, or when ctx is cancelled, those that are left are aborted.
//
// When it returns, nothing of the listener is left. The *ShutdownError counts the exceptions; it is
// nil for an orderly end. The error also counts connections that had work under way when their time
// was over, however they were closed. Later calls of Shutdown and Close wait for the same end, and
// get the same answer.
//
// A handler, a completion or a callback of TLS of one of the listener's connections cannot wait for
// the end. Called there, Shutdown begins the end, with ctx's deadline, and returns ErrFromHandler
// at once. Subscribers of the event stream, alarms and Control may call it: once the end has been
// asked for, nothing waits for any of them for longer than half a second.
func (l *Listener) Shutdown(ctx context.Context) error {
	l.server.begins(toDrain)
	inside := l.server.calledFromHandler() // before its connection ends
	deadline, _ := ctx.Deadline()
	l.stopBy(deadline)
	if inside {
		return ErrFromHandler
	}
	wait := seam.Wait()
	select {
	case <-l.server.drained:
		wait.Over()
	case <-ctx.Done():
		wait.Over()
		l.server.stopBy(time.Now())
	}
	return l.result()
}

// Close ends the listener at once and aborts its connections. When it returns, nothing of the
// listener is left, except for handlers that do not return, named in the *ShutdownError. They are
// the only error, unless a Shutdown is under way: Close cuts it off, and both return its error.
// Callbacks may call Close as they may call Shutdown.
func (l *Listener) Close() error {
	l.server.begins(toAbort)
	inside := l.server.calledFromHandler()
	l.stopBy(time.Now())
	if inside {
		return ErrFromHandler
	}
	return l.result()
}

// ErrFromHandler is returned by Shutdown and Close where a handler, a completion or a callback of
// TLS of one of the listener's own connections calls them: they begin the end, and cannot wait for
// it.
var ErrFromHandler = errors.New("berth: the listener ends, and a handler cannot wait for that")

func (l *Listener) stopBy(deadline time.Time) {
	l.server.stopBy(deadline)
	select {
	case <-l.server.closing: // it stops already
	default:
		l.server.system.Root.Stop(l.pid)
	}
}

func (l *Listener) result() error {
	defer seam.Wait().Over()
	<-l.server.drained
	if late := l.server.outcome; late != nil {
		if len(late.Stuck) == 0 {
			<-l.server.done
		}
		return late
	}
	<-l.server.done
	return nil
}

// Done is closed when nothing of the listener is left, whatever stopped it. Goroutines of callbacks
// that have not returned may be left; Stopped counts them. A handler must not wait for it.
func (l *Listener) Done() <-chan struct{} { return l.server.done }

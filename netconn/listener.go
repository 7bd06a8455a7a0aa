package netconn

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// Listener is a net.Listener whose Accept returns connections of a server of Berth's, each a *Conn.
// Any goroutine may call its methods.
//
// A connection waits in a queue from its handshake until Accept takes it. While 128 or more wait,
// the server does not accept, and clients wait in the kernel's backlog; it accepts again once
// Accept has taken half of them. Those that it had accepted by then wait too: on the stream
// transport, where accepting is quicker than the connections' turns, a burst of a thousand clients
// brought 415. MaxConnections bounds them. Nothing waits in a handler. A connection that waits is
// read until it has ReadBufferSize unread bytes, and counts as open.
//
// A Listener starts no goroutine. Those of its server end when the server has ended: after Close,
// when the last connection has.
type Listener struct {
	factory *factory
	server  *listener.Listener // set once, before the Listener is the caller's
	most    int                // connections in the queue from which on the server does not accept

	pacing    sync.Mutex // held while the server is suspended or resumed; guards server while it begins
	suspended bool

	mu     sync.Mutex
	queue  []*Conn
	ready  chan struct{} // has room for one: the queue is not empty
	closed bool
	done   chan struct{} // closed by Close
}

var _ net.Listener = (*Listener)(nil)

// mostQueued is what Listener's documentation says.
const mostQueued = 128

// Listen serves addr ("host:port", all interfaces without a host; the path of a unix socket) and
// returns once it is bound. It does so in an actor system of this package's own, which logs
// warnings and errors to slog's default logger. The options are completed by Options; TLSConfig,
// Transport, Network and all others mean what they mean for every server.
func Listen(addr string, options listener.Options) (*Listener, error) {
	return ListenIn(ownSystem().Root, addr, options)
}

// ListenIn is Listen in an actor system of the program's: spawner is its root context, or the
// context of an actor on whose turn ListenIn is called. In the second case the server is the
// actor's child: supervised by it and stopped with it.
func ListenIn(spawner actor.SpawnerContext, addr string, options listener.Options) (*Listener, error) {
	l := newListener(mostQueued)
	return l.begin(listener.Listen(spawner, addr, l.factory, completed(options)))
}

// NewListener is Listen for a net.Listener that is there: one of package net, of tls.Listen, in
// memory, or any other. l belongs to the Listener from now on, unless there is an error.
func NewListener(l net.Listener, options listener.Options) (*Listener, error) {
	return NewListenerIn(ownSystem().Root, l, options)
}

// NewListenerIn is to NewListener what ListenIn is to Listen.
func NewListenerIn(spawner actor.SpawnerContext, l net.Listener, options listener.Options) (*Listener, error) {
	return newListener(mostQueued).serve(spawner, l, options)
}

// ownSystem makes the actor system of this package, once.
var ownSystem = sync.OnceValue(func() *actor.ActorSystem {
	return tcpactor.NewSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(warnings{slog.Default().Handler()})
	}))
})

// warnings drops what is below a warning.
type warnings struct{ slog.Handler }

// Enabled implements slog.Handler.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

func newListener(most int) *Listener {
	l := &Listener{most: most, ready: make(chan struct{}, 1), done: make(chan struct{})}
	l.factory = &factory{inline: true, drains: true, begin: func(c *Conn) <-chan struct{} {
		l.enqueue(c)
		return nil
	}}
	return l
}

func (l *Listener) serve(spawner actor.SpawnerContext, socket net.Listener, o listener.Options) (*Listener, error) {
	return l.begin(listener.Serve(spawner, socket, l.factory, completed(o)))
}

func (l *Listener) begin(server *listener.Listener, err error) (*Listener, error) {
	if err != nil {
		return nil, err
	}
	l.pacing.Lock()
	l.server = server
	l.pacing.Unlock()
	l.pace() // connections may have come already
	return l, nil
}

// completed returns the options of a Listener's server. Connections that were handed out live on
// after Close.
func completed(o listener.Options) listener.Options {
	orDefault(&o.ShutdownTimeout, -1)
	orDefault(&o.Connection.DrainQuiet, -1)
	return Options(o)
}

// Server returns the server below: for Info, Connections, SetOptions, and for a Shutdown that ends
// the connections too. Suspend and Resume are not for it: the Listener uses them.
func (l *Listener) Server() *listener.Listener { return l.server }

// String names the listener, for logs, and does not read its state.
func (l *Listener) String() string { return l.server.String() }

// GoString is String, for %#v.
func (l *Listener) GoString() string { return l.String() }

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.server.Addr() }

// Accept implements net.Listener: it waits for the next connection. A connection may have ended
// while it waited in the queue; then its Read says so. After Close, and after the server's end, the
// error matches net.ErrClosed.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.dequeue()
		if err != nil {
			return nil, l.failed("accept", err)
		}
		if c != nil {
			l.pace()
			return c, nil
		}
		select {
		case <-l.ready:
		case <-l.done:
		case <-l.server.Done():
			return nil, l.failed("accept", net.ErrClosed)
		}
	}
}

// dequeue returns the connection that has waited longest, nil if there is none.
func (l *Listener) dequeue() (*Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, net.ErrClosed
	case len(l.queue) == 0:
		return nil, nil
	}
	c := l.queue[0]
	l.queue[0] = nil
	if l.queue = l.queue[1:]; len(l.queue) == 0 {
		l.queue = nil
	} else {
		l.tell() // another Accept may wait
	}
	return c, nil
}

// enqueue is called on the connection's turn.
func (l *Listener) enqueue(c *Conn) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		c.socket.Abort()
		return
	}
	l.queue = append(l.queue, c)
	l.tell()
	l.mu.Unlock()
	l.pace()
}

func (l *Listener) tell() {
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// pace suspends accepting while the queue is full.
func (l *Listener) pace() {
	l.pacing.Lock()
	defer l.pacing.Unlock()
	l.mu.Lock()
	queued, closed := len(l.queue), l.closed
	l.mu.Unlock()
	switch {
	case closed || l.server == nil:
	case !l.suspended && queued >= l.most:
		l.suspended = true
		l.server.Suspend()
	case l.suspended && queued <= l.most/2:
		l.suspended = false
		_ = l.server.Resume() // no socket has to be opened for it
	}
}

// Close implements net.Listener. When it returns the address is free, and Accept returns an error
// that matches net.ErrClosed. Connections that no Accept took are reset. Those that were handed out
// live on; the server ends with the last of them, and a deadline for that is Server().Shutdown. A
// second Close returns an error that matches net.ErrClosed.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return l.failed("close", net.ErrClosed)
	}
	l.closed = true
	queue := l.queue
	l.queue = nil
	close(l.done)
	l.mu.Unlock()
	for _, c := range queue {
		c.socket.Abort()
	}
	l.stopServer()
	return nil
}

// stopServer has the server shut down without a deadline, and waits until its listening socket is
// closed, which the server announces.
func (l *Listener) stopServer() {
	var once sync.Once
	closed := make(chan struct{})
	system := l.server.ActorSystem()
	subscription := system.EventStream.Subscribe(func(event any) {
		if drain, is := event.(*listener.DrainStarted); is && drain.Addr.String() == l.Addr().String() {
			once.Do(func() { close(closed) })
		}
	})
	defer system.EventStream.Unsubscribe(subscription)
	if errors.Is(l.server.SetHandler(l.factory), net.ErrClosed) {
		return // it shuts down already: the announcement may have been made
	}
	system.Root.Send(l.server.PID(), &protocol.Shutdown{})
	select {
	case <-closed:
	case <-l.server.Done():
	}
}

func (l *Listener) failed(op string, err error) error {
	addr := l.Addr()
	return &net.OpError{Op: op, Net: addr.Network(), Addr: addr, Err: err}
}

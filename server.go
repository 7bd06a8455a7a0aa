package berth

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol/frame"
)

// ListenAndServe serves addr ("host:port", all interfaces without a host) until the server ends.
// The error is never nil: it says why the server did not begin, or it is ErrServerClosed. Errors
// and panics of handlers are not logged without Log.
func ListenAndServe(addr string, handler Factory) error {
	server, err := Listen(addr, handler, Options{})
	if err != nil {
		return err
	}
	<-server.Done()
	return ErrServerClosed
}

// Listen serves addr and returns once it is bound. All servers that are begun so share an actor
// system of this package's own, in which Proto.Actor logs from warnings on to slog's default
// logger. Errors and panics of handlers are not logged without Log.
func Listen(addr string, handler Factory, options Options) (*Server, error) {
	return ListenIn(ownSystem().Root, addr, handler, options)
}

// ListenIn is Listen for programs with an actor system of their own: see NewSystem. spawner is the
// system's root context, or the context of an actor. In the second case ListenIn must be called on
// that actor's turn, and the server is the actor's child: supervised by it and stopped with it.
func ListenIn(spawner actor.SpawnerContext, addr string, handler Factory, options Options) (*Server, error) {
	return listener.Listen(spawner, addr, handler, options)
}

// Serve is Listen for a listening socket that is there: of Inherited, of tls.Listen, or any other
// net.Listener. l belongs to the server from now on, unless there is an error. Options.Network and
// Options.ListenConfig are not used.
func Serve(l net.Listener, handler Factory, options Options) (*Server, error) {
	return ServeIn(ownSystem().Root, l, handler, options)
}

// ServeIn is to Serve what ListenIn is to Listen.
func ServeIn(spawner actor.SpawnerContext, l net.Listener, handler Factory, options Options) (*Server, error) {
	return listener.Serve(spawner, l, handler, options)
}

// Handlers makes a Factory of a function that returns a new Handler for each connection.
func Handlers(newHandler func() Handler) Factory { return tcpactor.Handlers(newHandler) }

// Actors makes a Factory of a function that returns a new actor for each connection. The actor gets
// the connection's events, and every other message that is sent to its PID.
func Actors(newActor func() actor.Actor) Factory { return tcpactor.Actors(newActor) }

// Wrap puts code around the handlers that a factory makes, of whatever form: around is called for
// each of them, and what it returns sees every message first. It calls next to go on. No optional
// method of a handler is lost behind it.
func Wrap(handler Factory, around func(next Receiver) Receiver) Factory {
	return tcpactor.Wrap(handler, around)
}

// Frames has the handlers that a factory makes, of whatever form, take one frame in each call: Data
// shows the payload of a whole frame. A Pause in the call of one frame holds back the next. See
// package protocol/frame for the decoders; newDecoder makes one for each handler.
func Frames(newDecoder func() frame.Decoder, handler Factory) Factory {
	return tcpactor.Frames(newDecoder, handler)
}

// Measure puts a clock around the handlers that a factory makes, for Info.Handler. It times one of
// 16 calls with Data. sample, if not nil, is given each of these times, on the connection's turn:
// it must not block.
func Measure(handler Factory, sample func(time.Duration)) Factory {
	return connection.Measure(handler, sample)
}

// NewSystem returns an actor system for ListenIn that suits many short-lived actors. Proto.Actor
// logs to standard error, in colours, unless actor.WithLoggerFactory is among the options.
func NewSystem(options ...actor.ConfigOption) *actor.ActorSystem {
	return tcpactor.NewSystem(options...)
}

// Log writes what happens to the servers of an actor system to logger, until stop is called. A nil
// system is that of ListenAndServe, Listen and Serve, a nil logger slog's default. Records begin
// with the call: it comes before Listen where the record of the start is wanted. Any goroutine may
// call Log and stop.
//
// What a client can bring about at will is at level Debug (a connection that opens or ends), Info
// (a client that is rejected, a handshake that fails) or Warn (a handler that returns an error, a
// Warning), never at Error.
func Log(system *actor.ActorSystem, logger *slog.Logger) (stop func()) {
	if system == nil {
		system = ownSystem()
	}
	if logger == nil {
		logger = slog.Default()
	}
	subscription := listener.Log(system, logger)
	return func() { system.EventStream.Unsubscribe(subscription) }
}

// DefaultSystem returns the actor system of ListenAndServe, Listen, Serve and Dial: for its
// EventStream, and to send messages to connections.
func DefaultSystem() *actor.ActorSystem { return ownSystem() }

// ownSystem makes the actor system of this package, once: one costs about 5 ms, and none can be
// ended.
var ownSystem = sync.OnceValue(func() *actor.ActorSystem {
	return tcpactor.NewSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(quiet{})
	}))
})

// quiet is slog's default handler, as it is at each record, from warnings on.
type quiet struct {
	with func(slog.Handler) slog.Handler
}

var _ slog.Handler = quiet{}

func (q quiet) now() slog.Handler {
	h := slog.Default().Handler()
	if q.with != nil {
		h = q.with(h)
	}
	return h
}

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.now().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, record slog.Record) error {
	return q.now().Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	return q.then(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler {
	return q.then(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (q quiet) then(next func(slog.Handler) slog.Handler) slog.Handler {
	before := q.with
	return quiet{with: func(h slog.Handler) slog.Handler {
		if before != nil {
			h = before(h)
		}
		return next(h)
	}}
}

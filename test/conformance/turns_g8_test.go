package conformance

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/simnet"
)

// G8, for every way in which Proto.Actor runs an actor's code on the connection's turn.

// way is a place in which an actor that gets the word "fail" calls fail.
type way func(w *world, ctx actor.Context, fail func())

// later is a message that calls its function.
type later func()

// autoResponse is a message that answers for itself.
type autoResponse func()

func (f autoResponse) GetAutoResponse(actor.Context) any { f(); return "answer" }

var ways = map[string]way{
	"a message": func(_ *world, ctx actor.Context, fail func()) { ctx.Send(ctx.Self(), later(fail)) },
	"a continuation": func(w *world, ctx actor.Context, fail func()) {
		future := actor.NewFuture(w.system, w.patience())
		ctx.ReenterAfter(future, func(any, error) { fail() })
		ctx.Send(future.PID(), "done")
	},
	"a continuation of what is done already": func(w *world, ctx actor.Context, fail func()) {
		future := actor.NewFuture(w.system, w.patience())
		ctx.Send(future.PID(), "done")
		ctx.ReenterAfter(future, func(any, error) { fail() })
	},
	"a continuation after a timeout": func(w *world, ctx actor.Context, fail func()) {
		ctx.ReenterAfter(actor.NewFuture(w.system, time.Millisecond), func(any, error) { fail() })
	},
	"a continuation within a continuation": func(w *world, ctx actor.Context, fail func()) {
		ctx.ReenterAfter(actor.NewFuture(w.system, time.Millisecond), func(any, error) {
			ctx.ReenterAfter(actor.NewFuture(w.system, time.Millisecond), func(any, error) { fail() })
		})
	},
	"a message that answers for itself": func(_ *world, ctx actor.Context, fail func()) {
		ctx.Send(ctx.Self(), autoResponse(fail))
	},
	"the same in an envelope": func(_ *world, ctx actor.Context, fail func()) {
		ctx.Request(ctx.Self(), autoResponse(fail))
	},
	"the end of another actor": func(_ *world, ctx actor.Context, _ func()) {
		other := ctx.ActorSystem().Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
		ctx.Watch(other)
		ctx.Stop(other)
	},
	"a receive timeout": func(_ *world, ctx actor.Context, _ func()) { ctx.SetReceiveTimeout(time.Millisecond) },
	"a spawn that is refused": func(_ *world, ctx actor.Context, fail func()) {
		ctx.Send(ctx.Self(), later(func() {
			if _, err := ctx.SpawnNamed(actor.PropsFromFunc(func(actor.Context) {}), "writer"); err != nil {
				fail()
			}
		}))
	},
}

// wayward plays a script; on the word "fail" it fails in its way.
type wayward struct {
	nativeActor
	w        *world
	way      way
	fail     func()
	behavior actor.Behavior
}

func (a *wayward) Receive(ctx actor.Context) { a.behavior.Receive(ctx) }

func (a *wayward) receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case later:
		m()
	case autoResponse:
	case string:
		if m == "fail" {
			a.way(a.w, ctx, a.fail)
		}
	case *actor.Terminated, *actor.ReceiveTimeout:
		a.fail()
	case *protocol.Data:
		if string(m.Buffer.Bytes()) == "fail" {
			a.way(a.w, ctx, a.fail)
			ctx.Send(ctx.Self(), "on the way")
		}
		a.nativeActor.Receive(ctx)
	default:
		a.nativeActor.Receive(ctx)
	}
}

// waywardServer serves with actors that fail in a way, and returns the events that are published of
// it.
func waywardServer(w *world, way way, fail func(), o connection.Options) (*server, chan *connection.HandlerFailed) {
	published := make(chan *connection.HandlerFailed, 64)
	subscription := w.system.EventStream.Subscribe(func(e any) {
		if failed, ok := e.(*connection.HandlerFailed); ok {
			published <- failed
		}
	})
	w.t.Cleanup(func() { w.system.EventStream.Unsubscribe(subscription) })
	s := &server{w: w, accepted: make(chan *tape, 1024)}
	s.start(tcpactor.Actors(func() actor.Actor {
		a := &wayward{nativeActor: nativeActor{player{s: s}}, w: w, way: way, fail: fail}
		a.behavior = actor.NewBehavior()
		a.behavior.Become(a.receive)
		return a
	}), listener.Options{Connection: o})
	return s, published
}

func eachWay(t *testing.T, test func(t *testing.T, w *world, way way)) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) { test(t, w, way) })
		})
	}
}

func TestAnActorsPanicHasReasonAndStack(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, way way) {
		s, published := waywardServer(w, way, func() { _ = explode() }, connection.Options{})
		neighbour, other := s.connect()
		p, tape := s.connect()
		p.send("fail")
		p.rest()
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonHandlerPanic, closed.Reason)
		var panicked *protocol.PanicError
		require.ErrorAs(t, closed.Err, &panicked)
		assert.Equal(t, errBroken, panicked.Value)
		assert.Contains(t, string(panicked.Stack), "conformance.explode", "the stack of the panic")
		failed := <-published
		assert.Equal(t, tape.socket.PID(), failed.PID)
		assert.Equal(t, closed.Err, failed.Err)
		assert.False(t, failed.Restarted)
		harmless(w, s, neighbour, other)
		assert.Empty(t, published, "told once")
	})
}

func TestAPanicInWhateverAnActorRunsIsARestart(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, way way) {
		var failures atomic.Int32
		s, published := waywardServer(w, way, func() { failures.Add(1); _ = explode() }, restarting(1))
		p, tape := s.connect()
		p.send("fail")
		tape.await("again")
		p.send("more")
		tape.sees("failmore")
		w.settle()
		assert.EqualValues(t, 1, failures.Load())
		assert.True(t, (<-published).Restarted)
		assert.Empty(t, published)
		p.send("fail")
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonHandlerPanic, tape.ended().Reason, "one panic too many")
		assert.False(t, (<-published).Restarted)
	})
}

func TestAGoexitInWhateverAnActorRunsEndsItsConnection(t *testing.T) {
	eachWay(t, func(t *testing.T, w *world, way way) {
		s, _ := waywardServer(w, way, runtime.Goexit, restarting(9))
		neighbour, other := s.connect()
		p, tape := s.connect()
		p.send("fail")
		_, _ = p.all()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonHandlerPanic, closed.Reason)
		assert.ErrorIs(t, closed.Err, protocol.ErrGoexit)
		harmless(w, s, neighbour, other)
	})
}

// Writes that were accepted before are flushed, as after any panic, even if the connection is
// closing already.
func TestAPanicInAContinuationCutsNoFlushOff(t *testing.T) {
	for name, way := range map[string]way{
		"open": ways["a continuation"],
		"closing": func(w *world, ctx actor.Context, fail func()) {
			ctx.Send(ctx.Self(), &protocol.Close{})
			ways["a continuation after a timeout"](w, ctx, fail)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				failed := make(chan struct{})
				s, _ := waywardServer(w, way, func() { defer close(failed); _ = explode() }, roomy())
				p, tape := s.connect()
				tape.stall()
				w.system.Root.Send(tape.socket.PID(), "fail")
				<-failed
				assert.Len(t, p.rest(), stallSize)
				p.close()
				tape.ended()
			})
		})
	}
}

// brittle is a listener of connections that fail.
type brittle struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l brittle) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

type panicsInWrite struct{ net.Conn }

func (panicsInWrite) Write([]byte) (int, error) { panic(errBroken) }

// failsInRead fails once it has read.
type failsInRead struct {
	net.Conn
	fail func()
}

func (c failsInRead) Read(p []byte) (int, error) {
	if _, err := c.Conn.Read(p); err != nil {
		return 0, err
	}
	c.fail()
	return 0, nil
}

// serveBrittle starts a listener of such connections, and returns two of them.
func (w *world) serveBrittle(wrap func(net.Conn) net.Conn) (p *peer, tape, neighbour *tape) {
	sim := simnet.Listen(simnet.Options{})
	s := w.serveOn(brittle{sim, wrap}, func() (net.Conn, error) { return sim.Dial(context.Background()) },
		script{data: echo}, listener.Options{})
	_, neighbour = s.connect()
	p, tape = s.connect()
	return p, tape, neighbour
}

func TestANetConnThatPanicsEndsItsConnectionWithReasonAndStack(t *testing.T) {
	for in, wrap := range map[string]func(net.Conn) net.Conn{
		"panicsInWrite": func(c net.Conn) net.Conn { return panicsInWrite{c} },
		"failsInRead":   func(c net.Conn) net.Conn { return failsInRead{c, func() { panic(errBroken) }} },
	} {
		t.Run(in, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				p, tape, neighbour := w.serveBrittle(wrap)
				p.send("x")
				closed := tape.ended()
				assert.Equal(t, protocol.ReasonTransportError, closed.Reason)
				var panicked *protocol.PanicError
				require.ErrorAs(t, closed.Err, &panicked)
				assert.Equal(t, errBroken, panicked.Value)
				assert.Contains(t, string(panicked.Stack), in)
				assert.Equal(t, in == "panicsInWrite", closed.Stats.Unsent == 1)
				assert.Equal(t, protocol.StateOpen, neighbour.socket.Info().State)
			})
		})
	}
}

func TestANetConnThatEndsItsGoroutineInReadEndsItsConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p, tape, neighbour := w.serveBrittle(func(c net.Conn) net.Conn { return failsInRead{c, runtime.Goexit} })
		p.send("x")
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonTransportError, closed.Reason)
		assert.ErrorContains(t, closed.Err, "Goexit")
		assert.Equal(t, protocol.StateOpen, neighbour.socket.Info().State)
	})
}

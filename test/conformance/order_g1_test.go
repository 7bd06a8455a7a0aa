package conformance

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// G1: Accepted once and first; Closed once and last, also after a panic, an outside Stop, a server
// stop, a resume after close; handler calls of one connection never overlap. The tape checks order
// and overlap at the end of every connection of this package. The tests here cause the ends.

var errBroken = errors.New("broken")

func TestAConnectionBeginsWithAcceptedAndEndsWithClosed(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{}, listener.Options{}).connect()
		p.send("hello")
		tape.sees("hello")
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonPeerClosed, closed.Reason)
		assert.NoError(t, closed.Err)
		assert.Equal(t, uint64(5), closed.Stats.Read)
		assert.Equal(t, "accepted", tape.kinds()[0])
	})
}

func TestClosedComesOnceAfterAPanic(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{data: func(*tape, *protocol.Buffer) error { panic("broken") }}, listener.Options{}).connect()
		p.send("hello")
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonHandlerPanic, tape.ended().Reason)
	})
}

func TestClosedComesOnceAfterAPanicInAccepted(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{accepted: func(*tape) error { panic("broken") }}, listener.Options{}).connect()
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonHandlerPanic, tape.ended().Reason)
		assert.Equal(t, []string{"accepted", "closed"}, tape.kinds())
	})
}

func TestClosedComesOnceAlsoIfItPanics(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, script{closed: func(*tape) { panic("broken") }}, listener.Options{})
		p, tape := s.connect()
		p.close()
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		require.NoError(t, s.Close())
		assert.False(t, w.registered(tape.socket.PID()))
	})
}

func TestClosedComesOnceAfterAnOutsideStop(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		_, tape := w.open(factory, script{}, listener.Options{}).connect()
		w.system.Root.Stop(tape.socket.PID())
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonStopped, closed.Reason)
		assert.ErrorIs(t, closed.Err, protocol.ErrStopped)
	})
}

func TestClosedComesOnceAfterAPoison(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		_, tape := w.open(factory, script{}, listener.Options{}).connect()
		w.system.Root.Poison(tape.socket.PID())
		assert.Equal(t, protocol.ReasonStopped, tape.ended().Reason)
	})
}

func TestClosedComesOnceAfterAServerStop(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, script{}, listener.Options{})
		_, tape := s.connect()
		require.NoError(t, s.Close())
		assert.Equal(t, 1, tape.count("closed"), "Close returned before Closed")
		assert.Equal(t, protocol.ReasonShutdown, tape.ended().Reason)
	})
}

func TestClosedComesOnceAfterAShutdown(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, script{}, listener.Options{Connection: connection.Options{DrainQuiet: -1}})
		p, tape := s.connect()
		p.closeWrite()
		require.NoError(t, s.Shutdown(context.Background()))
		assert.Equal(t, 1, tape.count("closed"))
	})
}

func TestClosedComesOnceWhenTheListenersActorIsStopped(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, script{}, listener.Options{ShutdownTimeout: 1})
		_, tape := s.connect()
		w.system.Root.Stop(s.PID())
		assert.Equal(t, protocol.ReasonShutdown, tape.ended().Reason)
		<-s.Done()
	})
}

func TestAResumeAfterCloseChangesNothing(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{data: func(t *tape, b *protocol.Buffer) error {
			_ = t.socket.Close()
			t.socket.Resume()
			return nil
		}}, listener.Options{}).connect()
		p.send("unread")
		p.rest()
		tape.socket.Resume()
		p.close()
		tape.ended()
		tape.socket.Resume()
		tape.socket.Pause()
		_ = tape.socket.Close()
		tape.socket.Abort()
		w.settle()
		assert.Equal(t, []string{"accepted", "data", "closed"}, tape.kinds())
	})
}

func TestManyCausesOfEndAtOnceEndOnce(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, script{data: func(t *tape, b *protocol.Buffer) error { return errBroken }}, listener.Options{})
		for range 10 {
			p, tape := s.connect()
			causes := []func(){
				func() { _, _ = p.Write([]byte("x")) },
				func() { _ = p.Close() },
				func() { _ = tape.socket.Close() },
				tape.socket.CloseWrite,
				tape.socket.Abort,
				func() { w.system.Root.Stop(tape.socket.PID()) },
				func() { w.system.Root.Poison(tape.socket.PID()) },
			}
			var all sync.WaitGroup
			for _, cause := range causes {
				all.Go(cause)
			}
			all.Wait()
			tape.ended()
		}
	})
}

func TestHandlerCallsOfOneConnectionNeverOverlap(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, script{data: echo}, listener.Options{Connection: connection.Options{ReadGate: connection.GateOff}})
		p, tape := s.connect()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 50 {
					tape.socket.Do(&protocol.Resume{}, tape.done("resumed"))
					_ = tape.write("written", "x")
				}
			})
		}
		var reading sync.WaitGroup
		reading.Go(func() { _, _ = p.all() })
		for range 100 {
			p.send("y")
		}
		all.Wait()
		tape.nth(200, "resumed")
		p.closeWrite()
		tape.ended()
		reading.Wait()
	})
}

// exiting is an actor that ends its goroutine, as testing.T.FailNow does, when it gets one of
// Proto.Actor's last messages.
type exiting struct {
	nativeActor
	when any
}

func (e *exiting) Receive(ctx actor.Context) {
	e.nativeActor.Receive(ctx)
	if reflect.TypeOf(ctx.Message()) == reflect.TypeOf(e.when) {
		runtime.Goexit()
	}
}

func TestAnActorThatEndsItsGoroutineWhileItStopsIsGoneAllTheSame(t *testing.T) {
	for _, when := range []any{&actor.Stopping{}, &actor.Stopped{}} {
		for _, outside := range []bool{false, true} {
			t.Run(fmt.Sprintf("%T, stopped from outside: %v", when, outside), func(t *testing.T) {
				eachNetwork(t, func(t *testing.T, w *world) {
					s := &server{w: w, accepted: make(chan *tape, 8)}
					s.start(tcpactor.Actors(func() actor.Actor { return &exiting{nativeActor{player{s: s}}, when} }), listener.Options{})
					p, tape := s.connect()
					if outside {
						w.system.Root.Stop(tape.socket.PID())
					}
					p.close()
					tape.ended()
					ctx, cancel := context.WithTimeout(context.Background(), w.patience())
					defer cancel()
					s.finish(t, func() { assert.NoError(t, s.Shutdown(ctx), "it waits for who has gone") })
					assert.False(t, w.registered(tape.socket.PID()))
				})
			})
		}
	}
}

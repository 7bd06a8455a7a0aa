package conformance

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
)

// G8: a panic or error in one handler closes that connection with its reason (panic: typed, with
// stack); no other connection, nor the listener, nor the process is affected.

// harmless requires that a neighbour, connected before, and the listener still serve.
func harmless(w *world, s *server, neighbour *peer, tape *tape) {
	w.t.Helper()
	neighbour.send("still here")
	tape.sees("still here")
	fresh, fresher := s.connect()
	fresh.send("me too")
	fresher.sees("me too")
}

// failing is a script with a handler that calls what on the word "fail".
func failing(what func() error) script {
	return script{data: func(t *tape, b *protocol.Buffer) error {
		if string(b.Next(b.Len())) == "fail" {
			return what()
		}
		return nil
	}}
}

func explode() error { panic(errBroken) }

func TestAPanicEndsItsConnectionAlone(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, failing(explode), listener.Options{})
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
		assert.ErrorIs(t, closed.Err, errBroken)
		assert.Contains(t, string(panicked.Stack), "conformance.explode", "the stack of the panic")
		harmless(w, s, neighbour, other)
	})
}

func TestAnErrorEndsItsConnectionAlone(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, failing(func() error { return errBroken }), listener.Options{})
		neighbour, other := s.connect()
		p, tape := s.connect()
		p.send("fail")
		p.rest()
		p.close()
		closed := tape.ended()
		assert.ErrorIs(t, closed.Err, errBroken)
		assert.Contains(t, []protocol.Reason{protocol.ReasonHandlerError, protocol.ReasonHandlerPanic}, closed.Reason, "an actor can only panic")
		harmless(w, s, neighbour, other)
	})
}

func TestAGoexitEndsItsConnectionAlone(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, failing(func() error { runtime.Goexit(); return nil }), listener.Options{})
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

func TestAGoexitInAcceptedEndsItsConnectionAlone(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		var once sync.Once
		s := w.open(factory, script{accepted: func(*tape) error { once.Do(runtime.Goexit); return nil }}, listener.Options{})
		if p, err := s.dial(); err == nil { // the reset may come before the dial returns
			defer p.Close()
		}
		tape := <-s.accepted
		assert.ErrorIs(t, tape.ended().Err, protocol.ErrGoexit)
		neighbour, other := s.connect()
		harmless(w, s, neighbour, other)
	})
}

func TestAGoexitInClosedLeavesNothingBehind(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, script{closed: func(*tape) { runtime.Goexit() }}, listener.Options{})
		_, stopped := s.connect()
		w.system.Root.Stop(stopped.socket.PID())
		stopped.ended()
		p, tape := s.connect()
		p.close()
		tape.ended()
		s.finish(t, func() { assert.NoError(t, s.Close()) })
		assert.Empty(t, w.actorsOf(s))
	})
}

func TestAPanicAnywhereEndsItsConnectionAlone(t *testing.T) {
	explodeOnce := func() func() {
		var once sync.Once
		return func() { once.Do(func() { _ = explode() }) }
	}
	for name, makeScript := range map[string]func(fail func()) script{
		"accepted": func(fail func()) script { return script{accepted: func(*tape) error { fail(); return nil }} },
		"data": func(fail func()) script {
			return script{data: func(_ *tape, b *protocol.Buffer) error { fail(); b.Discard(b.Len()); return nil }}
		},
		"peerclosed": func(fail func()) script { return script{peerClosed: func(*tape) error { fail(); return nil }} },
		"writable":   func(fail func()) script { return script{writable: func(*tape, bool) error { fail(); return nil }} },
		"message": func(fail func()) script {
			return script{message: func(*tape, actor.Context, any) error { fail(); return nil }}
		},
		"closed": func(fail func()) script { return script{closed: func(*tape) { fail() }} },
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				o := roomy()
				o.KeepOpenOnPeerClosed, o.HighWater, o.ReadGate = true, 1, connection.GateOff
				s := w.serve(makeScript(explodeOnce()), o)
				p, tape := s.connect()
				p.send("data")
				w.system.Root.Send(tape.socket.PID(), "message")
				_ = tape.write("stall", pattern(stallSize)) // refused where the panic has come already
				w.settle()
				if name == "writable" {
					tape.await("writable") // before the peer reads: if the queue has sunk meanwhile, no Writable comes
				}
				p.closeWrite()
				if name == "closed" {
					tape.await("peerclosed")
					_ = tape.socket.Close()
				}
				_, _ = p.all()
				p.close()
				tape.ended()
				neighbour, other := s.connect()
				harmless(w, s, neighbour, other)
			})
		})
	}
}

func TestAPanicWhileDrainingHarmsNoOther(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{draining: func(t *tape, _ time.Time) error {
			if t.count("data") > 0 {
				panic("broken")
			}
			return t.say("bye")
		}}, connection.Options{})
		p, tape := s.connect()
		p.send("x")
		tape.await("data")
		other, otherTape := s.connect()
		w.system.Root.Send(s.PID(), &protocol.Shutdown{Deadline: time.Now().Add(w.patience())})
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonHandlerPanic, tape.ended().Reason)
		other.expect("bye")
		_ = otherTape.socket.Close()
		other.close()
		<-s.Done()
	})
}

func TestWhatWasWrittenBeforeAPanicIsStillSent(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, _ := w.open(factory, script{data: func(t *tape, b *protocol.Buffer) error { _ = t.say("sorry"); return explode() }},
			listener.Options{}).connect()
		p.send("x")
		assert.Equal(t, "sorry", p.rest())
	})
}

func TestAFailedHandlerIsPublished(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		published := make(chan *connection.HandlerFailed, 8)
		subscription := w.system.EventStream.Subscribe(func(e any) {
			if failed, ok := e.(*connection.HandlerFailed); ok {
				published <- failed
			}
		})
		defer w.system.EventStream.Unsubscribe(subscription)
		p, tape := w.serve(failing(explode), connection.Options{}).connect()
		p.send("fail")
		failed := <-published
		assert.Equal(t, tape.socket.PID(), failed.PID)
		assert.ErrorIs(t, failed.Err, errBroken)
	})
}

func TestALateCallbacksPanicIsPublished(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		published := make(chan *connection.HandlerFailed, 8)
		subscription := w.system.EventStream.Subscribe(func(e any) {
			if failed, ok := e.(*connection.HandlerFailed); ok {
				published <- failed
			}
		})
		defer w.system.EventStream.Unsubscribe(subscription)
		s := w.serve(script{}, connection.Options{})
		p, tape := s.connect()
		p.close()
		tape.ended()
		exited := make(chan struct{})
		tape.socket.Do(&protocol.Pause{}, func(error) { defer close(exited); runtime.Goexit() })
		<-exited
		tape.socket.Do(&protocol.Pause{}, func(error) { panic(errBroken) })
		failed := <-published
		assert.Equal(t, tape.socket.PID(), failed.PID)
		assert.Equal(t, protocol.ReasonHandlerPanic, failed.Reason)
		assert.ErrorIs(t, failed.Err, errBroken)
		neighbour, other := s.connect()
		harmless(w, s, neighbour, other)
	})
}

func TestAFactoryThatPanicsHarmsNoOther(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := &server{w: w, accepted: make(chan *tape, 8)}
		good := handlersForm(s, script{})
		var once sync.Once
		s.start(factoryFunc(func() tcpactor.Receiver { once.Do(func() { _ = explode() }); return good.Open() }), listener.Options{})
		p := s.client()
		assert.Empty(t, p.rest(), "closed")
		p.close()
		neighbour, other := s.connect()
		harmless(w, s, neighbour, other)
	})
}

func TestAFactorysFunctionThatReturnsNilIsNamed(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		published := make(chan *connection.HandlerFailed, 8)
		subscription := w.system.EventStream.Subscribe(func(e any) {
			if failed, ok := e.(*connection.HandlerFailed); ok {
				published <- failed
			}
		})
		defer w.system.EventStream.Unsubscribe(subscription)
		for name, factory := range map[string]tcpactor.Factory{
			"Handlers": tcpactor.Handlers(func() tcpactor.Handler { return nil }),
			"Actors":   tcpactor.Actors(func() actor.Actor { return nil }),
			"Frames": tcpactor.Frames(func() frame.Decoder { return nil },
				tcpactor.HandlerFunc(func(protocol.Socket, *protocol.Buffer) error { return nil })),
		} {
			s := &server{w: w, accepted: make(chan *tape, 8)}
			s.start(factory, listener.Options{})
			p := s.client()
			assert.Empty(t, p.rest(), "closed")
			p.close()
			assert.ErrorContains(t, (<-published).Err, "the function given to "+name+" returned nil")
		}
		assert.Empty(t, published, "one record for each")
	})
}

type factoryFunc func() tcpactor.Receiver

func (f factoryFunc) Open() tcpactor.Receiver { return f() }

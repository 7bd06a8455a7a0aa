package conformance

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// Closing: the handler and the event stream are told at once that a connection has begun to end.
// For every connection the tape checks that Closing comes once, after Accepted and before Closed.

// announcements collects the events of connections that begin to end.
type announcements struct {
	w    *world
	mu   sync.Mutex
	all  map[string][]*connection.Closing // by the PID's id
	news chan struct{}
}

func (w *world) announcements() *announcements {
	a := &announcements{w: w, all: map[string][]*connection.Closing{}, news: make(chan struct{}, 1024)}
	subscription := w.system.EventStream.Subscribe(func(event any) {
		if c, ok := event.(*connection.Closing); ok {
			a.mu.Lock()
			a.all[c.PID.Id] = append(a.all[c.PID.Id], c)
			a.mu.Unlock()
			select {
			case a.news <- struct{}{}:
			default:
			}
		}
	})
	w.t.Cleanup(func() { w.system.EventStream.Unsubscribe(subscription) })
	return a
}

// of returns the events of the connection so far.
func (a *announcements) of(pid *actor.PID) []*connection.Closing {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all[pid.Id])
}

// await waits until there is an event of the connection.
func (a *announcements) await(pid *actor.PID) *connection.Closing {
	a.w.t.Helper()
	limit := time.After(a.w.patience())
	for len(a.of(pid)) == 0 {
		select {
		case <-a.news:
		case <-limit:
			require.Fail(a.w.t, "the event stream says nothing")
		}
	}
	return a.of(pid)[0]
}

var errEnough = errors.New("enough")

// orderlyEnds begin an end that flushes, which takes as long as the peer does not read.
var orderlyEnds = map[protocol.Reason]func(w *world, s *server, p *peer, t *tape){
	protocol.ReasonLocalClosed: func(_ *world, _ *server, _ *peer, t *tape) { _ = t.socket.Close() },
	protocol.ReasonPeerClosed:  func(_ *world, _ *server, p *peer, _ *tape) { p.closeWrite() },
	protocol.ReasonHandlerError: func(w *world, _ *server, _ *peer, t *tape) {
		w.system.Root.Send(t.socket.PID(), "fail")
	},
	protocol.ReasonHandlerPanic: func(w *world, _ *server, _ *peer, t *tape) {
		w.system.Root.Send(t.socket.PID(), "panic")
	},
	protocol.ReasonLinkDown: func(_ *world, _ *server, _ *peer, t *tape) { t.socket.Link(nil) },
	protocol.ReasonSlowConsumer: func(_ *world, _ *server, _ *peer, t *tape) {
		for t.say(pattern(stallSize)) == nil {
		}
	},
	protocol.ReasonShutdown: func(w *world, s *server, _ *peer, _ *tape) {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		w.t.Cleanup(cancel)
		go func() { _ = s.Shutdown(ctx) }()
	},
}

// obeying is a script with a handler that fails as a message tells it to.
func obeying() script {
	return script{message: func(_ *tape, _ actor.Context, message any) error {
		if message == "panic" {
			panic(errEnough)
		}
		return errEnough
	}}
}

func TestEveryOrderlyEndIsToldBeforeItsFlush(t *testing.T) {
	mostlyWaits(t)
	for reason, end := range orderlyEnds {
		t.Run(reason.String(), func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				told := w.announcements()
				o := roomy()
				o.WriteBufferSize, o.SlowConsumer, o.ReadGate = stallSize, connection.SlowClose, connection.GateOff
				s := w.serve(obeying(), o)
				p, tape := s.connect()
				tape.stall()
				end(w, s, p, tape)
				closing, public := tape.closing(), told.await(tape.socket.PID())
				assert.Equal(t, reason, closing.Reason)
				assert.Equal(t, reason, public.Reason)
				if reason != protocol.ReasonShutdown { // a shutdown is cut off meanwhile, if the machine is busy
					assert.Equal(t, closing.Err, public.Err)
					assert.Equal(t, 0, tape.count("closed"), "the peer has not read")
				}
				p.drain()
				closed := tape.ended()
				assert.Equal(t, reason, closed.Reason)
				assert.Len(t, told.of(tape.socket.PID()), 1)
			})
		})
	}
}

// sudden ends end a connection without a flush.
var suddenEnds = map[protocol.Reason]func(w *world, p *peer, t *tape){
	protocol.ReasonLocalAborted: func(_ *world, _ *peer, t *tape) { t.socket.Abort() },
	protocol.ReasonStopped:      func(w *world, _ *peer, t *tape) { w.system.Root.Stop(t.socket.PID()) },
	protocol.ReasonPeerClosed:   func(_ *world, p *peer, _ *tape) { p.close() },
	protocol.ReasonPeerReset: func(w *world, p *peer, _ *tape) {
		w.needsReset()
		p.reset()
	},
}

func TestEverySuddenEndIsToldBeforeClosed(t *testing.T) {
	for reason, end := range suddenEnds {
		t.Run(reason.String(), func(t *testing.T) {
			eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
				told := w.announcements()
				var before int
				s := w.open(factory, script{closed: func(t *tape) { before = len(told.of(t.socket.PID())) }}, listener.Options{})
				p, tape := s.connect()
				end(w, p, tape)
				tape.ended()
				require.NoError(t, s.Close())
				assert.Equal(t, reason, tape.closing().Reason)
				assert.Equal(t, 1, before, "Closed came before the event stream was told")
				public := told.of(tape.socket.PID())
				require.Len(t, public, 1)
				assert.Equal(t, reason, public[0].Reason)
				assert.Equal(t, tape.socket.RemoteAddr(), public[0].RemoteAddr)
			})
		})
	}
}

func TestClosedComesAfterASubscriberThatIsToldOnAnotherGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		works, told, goesOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
		p, tape := w.serve(script{data: func(_ *tape, b *protocol.Buffer) error {
			b.Discard(b.Len())
			<-works
			return nil
		}}, connection.Options{}).connect()
		subscription := w.system.EventStream.Subscribe(func(event any) {
			if closing, ok := event.(*connection.Closing); ok && closing.PID.Equal(tape.socket.PID()) {
				close(told)
				<-goesOn
			}
		})
		defer w.system.EventStream.Unsubscribe(subscription)
		p.send("x")
		w.settle()
		tape.socket.Abort() // the handler holds the turn, so another goroutine publishes
		<-told
		close(works)
		w.settle()
		assert.Zero(t, tape.count("closed"))
		close(goesOn)
		tape.ended()
	})
}

func TestTheEventStreamIsToldWhileTheHandlerBlocks(t *testing.T) {
	mostlyWaits(t)
	for name, end := range map[string]func(s *server, t *tape){
		"Close": func(_ *server, t *tape) { _ = t.socket.Close() },
		"Abort": func(_ *server, t *tape) { t.socket.Abort() },
		"Do":    func(_ *server, t *tape) { t.socket.Do(&protocol.Close{}, nil) },
		"a slow consumer": func(_ *server, t *tape) {
			for t.say(pattern(stallSize)) == nil {
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				told, release := w.announcements(), make(chan struct{})
				o := roomy()
				o.SlowConsumer = connection.SlowClose
				s := w.serve(script{data: func(_ *tape, b *protocol.Buffer) error {
					b.Discard(b.Len())
					<-release
					return nil
				}}, o)
				p, tape := s.connect()
				p.send("x")
				tape.await("data")
				end(s, tape)
				told.await(tape.socket.PID())
				assert.Empty(t, tape.closings, "handler calls never overlap")
				close(release)
				tape.closing()
				p.drain()
				tape.ended()
			})
		})
	}
}

func TestClosingComesBeforeTheMailThatWaits(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		entered, release := make(chan struct{}), make(chan struct{})
		s := w.open(factory, script{data: func(_ *tape, b *protocol.Buffer) error {
			b.Discard(b.Len())
			close(entered)
			<-release
			return nil
		}, closing: func(tape *tape) {
			assert.Zero(t, tape.count("message"))
		}}, listener.Options{})
		p, tape := s.connect()
		p.send("x")
		<-entered
		for n := range 500 {
			w.system.Root.Send(tape.socket.PID(), fmt.Sprint("line ", n))
		}
		_ = tape.socket.Close()
		close(release)
		p.close()
		tape.ended()
	})
}

func TestAFailureInClosingEndsItsConnectionAlone(t *testing.T) {
	for reason, end := range suddenEnds {
		for name, fail := range map[string]func(){"a panic": func() { panic(errEnough) }, "Goexit": runtime.Goexit} {
			t.Run(reason.String()+", "+name, func(t *testing.T) {
				eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
					s := w.open(factory, script{data: echo, closing: func(*tape) { fail() }}, listener.Options{})
					p, tape := s.connect()
					other, _ := s.connect()
					end(w, p, tape)
					assert.Equal(t, reason, tape.ended().Reason, "the first cause")
					other.send("still here")
					other.expect("still here")
				})
			})
		}
	}
}

func TestMailIsNotLostBehindAClosingThatEndsTheGoroutine(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		entered, release := make(chan struct{}), make(chan struct{})
		s := w.serve(script{
			data: func(_ *tape, b *protocol.Buffer) error {
				b.Discard(b.Len())
				close(entered)
				<-release
				return nil
			},
			closing: func(*tape) { runtime.Goexit() },
		}, connection.Options{})
		p, tape := s.connect()
		p.send("x")
		<-entered
		w.system.Root.Send(tape.socket.PID(), "message")
		tape.socket.Abort()
		close(release)
		tape.ended()
		require.NoError(t, s.Close())
		assert.Equal(t, 1, tape.count("message")+len(w.deadLetters(tape.socket.PID())))
	})
}

func TestASubscriberThatPanicsHarmsNoConnection(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		subscription := w.system.EventStream.Subscribe(func(event any) {
			if _, ok := event.(*connection.Closing); ok {
				panic(errEnough)
			}
		})
		defer w.system.EventStream.Unsubscribe(subscription)
		s := w.serve(script{}, connection.Options{})
		p, one := s.connect()
		_, other := s.connect()
		p.close()
		other.socket.Abort()
		assert.Equal(t, protocol.ReasonPeerClosed, one.ended().Reason)
		assert.Equal(t, protocol.ReasonLocalAborted, other.ended().Reason)
	})
}

// A room knows its members by PID alone. Each member's handler reports in Closing that it leaves.
func TestARoomThatIsToldSendsNothingToMembersThatLeave(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		const lines = 1000
		type leave struct{ pid *actor.PID }
		members, left := map[string]*actor.PID{}, make(chan struct{}, 10)
		room := w.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *actor.PID:
				members[m.Id] = m
			case leave:
				delete(members, m.pid.Id)
				left <- struct{}{}
			case *protocol.Write:
				for _, pid := range members {
					ctx.Send(pid, m)
				}
			}
		}))
		defer func() { _ = w.system.Root.StopFuture(room).Wait() }()
		s := w.serve(script{
			accepted: func(t *tape) error { w.system.Root.Send(room, t.socket.PID()); return nil },
			closing:  func(t *tape) { w.system.Root.Send(room, leave{t.socket.PID()}) },
		}, connection.Options{WriteQueueSize: 2 * lines})
		p, stays := s.connect()
		_, leaves := s.connect()
		stays.unbooked, leaves.unbooked = true, true
		_ = leaves.socket.Close() // its peer does not close: it takes up to CloseTimeout
		<-left
		for range lines {
			w.system.Root.Send(room, &protocol.Write{Data: []byte("x")})
		}
		p.take(lines)
		assert.NotEqual(t, protocol.StateClosed, leaves.socket.Info().State)
		assert.Empty(t, w.deadLetters(leaves.socket.PID()))
	})
}

func TestAConnectionThatNoHandlerSawIsNotAnnounced(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		told := w.announcements()
		s, connect := w.secured(script{}, 1000, connection.Options{})
		c, err := connect()
		require.NoError(t, err)
		_, err = c.Write([]byte("this is no TLS"))
		require.NoError(t, err)
		w.settle()
		assert.Zero(t, s.Info().Open)
		assert.Empty(t, told.all)
		_ = c.Close()
	})
}

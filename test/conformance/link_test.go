package conformance

import (
	"errors"
	"fmt"
	"math/rand/v2"
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
)

// Link: a connection and a linked actor end together.

// partner is an actor for a connection to be linked to. "fail" makes it fail, and its supervisor
// start it again.
type partner struct {
	w       *world
	pid     *actor.PID
	started chan struct{}
	stopped chan struct{}
}

func (w *world) partner() *partner {
	p := &partner{w: w, started: make(chan struct{}, 10), stopped: make(chan struct{})}
	p.pid = w.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *actor.Started:
			p.started <- struct{}{}
		case *actor.Stopped:
			close(p.stopped)
		case string:
			panic("as told")
		}
	}))
	<-p.started
	w.t.Cleanup(func() {
		if w.registered(p.pid) { // a Stop to an actor that is gone would be a dead letter, and its throttle outlives the bubble
			p.stop()
		}
	})
	return p
}

// stop ends the partner and waits for its end.
func (p *partner) stop() {
	p.w.t.Helper()
	p.w.system.Root.Stop(p.pid)
	p.ended()
}

// ended waits for the partner's end.
func (p *partner) ended() {
	p.w.t.Helper()
	select {
	case <-p.stopped:
	case <-time.After(p.w.patience()):
		require.Fail(p.w.t, "the partner was not stopped")
	}
}

// lives reports whether the partner has not been told to stop.
func (p *partner) lives() bool {
	p.w.settle()
	return p.w.registered(p.pid)
}

// do gives the connection a command and waits until it has taken effect.
func (t *tape) do(command protocol.Command) error {
	t.w.t.Helper()
	done := make(chan error, 1)
	t.socket.Do(command, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(t.w.patience()):
		require.Fail(t.w.t, "no answer", "%T", command)
		return nil
	}
}

func (t *tape) linked(to ...*partner) {
	t.w.t.Helper()
	for _, p := range to {
		require.NoError(t.w.t, t.do(&protocol.Link{PID: p.pid}))
	}
}

func TestTheEndOfALinkedActorClosesTheConnection(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{}, only(roomy())).connect()
		one, other := w.partner(), w.partner()
		tape.linked(one, other)
		tape.stall()
		one.stop()
		assert.Len(t, p.rest(), stallSize, "an orderly end: what was accepted is flushed")
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonLinkDown, closed.Reason)
		var down *protocol.LinkDownError
		require.ErrorAs(t, closed.Err, &down)
		assert.True(t, one.pid.Equal(down.PID), "it is named")
		assert.Contains(t, closed.Err.Error(), one.pid.Id)
		other.ended()
	})
}

func TestTheEndOfAConnectionStopsEveryLinkedActor(t *testing.T) {
	for name, end := range map[string]func(w *world, s *server, p *peer, tape *tape){
		"the peer's FIN": func(_ *world, _ *server, p *peer, _ *tape) { p.close() },
		"Close":          func(_ *world, _ *server, p *peer, t *tape) { _ = t.socket.Close(); p.close() },
		"Abort":          func(_ *world, _ *server, _ *peer, t *tape) { t.socket.Abort() },
		"a panic":        func(w *world, _ *server, p *peer, t *tape) { w.system.Root.Send(t.socket.PID(), "panic"); p.close() },
		"Stop":           func(w *world, _ *server, _ *peer, t *tape) { w.system.Root.Stop(t.socket.PID()) },
		"the server's":   func(_ *world, s *server, _ *peer, _ *tape) { _ = s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				s := w.serve(script{message: func(*tape, actor.Context, any) error { panic("as told") }}, connection.Options{})
				p, tape := s.connect()
				linked := []*partner{w.partner(), w.partner(), w.partner()}
				stranger := w.partner()
				tape.linked(linked...)
				end(w, s, p, tape)
				for _, one := range linked {
					one.ended()
				}
				tape.ended()
				assert.True(t, stranger.lives())
			})
		})
	}
}

func TestAnUnlinkedActorAndItsConnectionGoTheirOwnWays(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: echo}, connection.Options{}).connect()
		first, second := w.partner(), w.partner()
		tape.linked(first, second, second) // twice is once
		for _, pid := range []*actor.PID{second.pid, first.pid, first.pid, nil} {
			assert.NoError(t, tape.do(&protocol.Unlink{PID: pid}), "not an error where there is no link")
		}
		first.stop()
		w.settle()
		p.send("still here")
		p.expect("still here")
		p.close()
		tape.ended()
		assert.True(t, second.lives())
	})
}

func TestAnActorThatEndsWhileItIsUnlinkedEndsNothing(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		blocked, release := make(chan struct{}), make(chan struct{})
		play := script{data: echo, message: func(*tape, actor.Context, any) error { close(blocked); <-release; return nil }}
		p, tape := w.serve(play, connection.Options{}).connect()
		one, other := w.partner(), w.partner()
		tape.linked(one, other)
		w.system.Root.Send(tape.socket.PID(), "block")
		<-blocked
		tape.socket.Unlink(one.pid)
		one.stop() // the connection is told of it after the Unlink
		close(release)
		p.send("still here")
		p.expect("still here")
	})
}

func TestAnActorThatWasUnlinkedCanBeLinkedAgain(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{CloseTimeout: 50 * time.Millisecond, LingerTimeout: brief}).connect()
		one := w.partner()
		for range 3 {
			tape.socket.Link(one.pid)
			tape.socket.Unlink(one.pid)
		}
		tape.linked(one)
		one.stop()
		assert.Equal(t, protocol.ReasonLinkDown, tape.ended().Reason)
	})
}

func TestALinkToAnActorThatHasEndedEndsTheConnection(t *testing.T) {
	for name, of := range map[string]func(w *world) *actor.PID{
		"ended": func(w *world) *actor.PID { p := w.partner(); p.stop(); return p.pid },
		"never was": func(w *world) *actor.PID {
			return w.system.NewLocalPID("none")
		},
		"on a node that is not there": func(*world) *actor.PID { return actor.NewPID("192.0.2.1:7", "actor") },
		"nil":                         func(*world) *actor.PID { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				p, tape := w.serve(script{}, connection.Options{}).connect()
				pid := of(w)
				tape.socket.Link(pid)
				assert.Empty(t, p.rest())
				p.close()
				closed := tape.ended()
				assert.Equal(t, protocol.ReasonLinkDown, closed.Reason)
				assert.Equal(t, &protocol.LinkDownError{PID: pid}, closed.Err)
			})
		})
	}
}

func TestALinkToAnActorThatIsRestartedHolds(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: echo}, connection.Options{}).connect()
		one := w.partner()
		tape.linked(one)
		w.system.Root.Send(one.pid, "fail")
		<-one.started
		p.send("still here")
		p.expect("still here")
		p.close()
		one.ended()
	})
}

func TestALinkAfterTheEndStopsTheActor(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		tape := w.finished()
		one, two := w.partner(), w.partner()
		assert.Equal(t, protocol.ErrClosed, tape.do(&protocol.Link{PID: one.pid}))
		one.ended()
		tape.socket.Link(two.pid)
		two.ended()
		assert.Equal(t, protocol.ErrClosed, tape.do(&protocol.Link{}))
		assert.Equal(t, protocol.ErrClosed, tape.do(&protocol.Unlink{PID: one.pid}))
	})
}

func TestALinkWhileTheConnectionClosesStopsTheActorAtItsEnd(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		_ = tape.socket.Close()
		one, ended := w.partner(), w.partner()
		tape.linked(one)
		ended.stop()
		tape.linked(ended)
		assert.True(t, one.lives())
		p.close()
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason, "the first cause wins")
		one.ended()
	})
}

func TestLinksAreCommandsToo(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		a, one, two := w.asker(), w.partner(), w.partner()
		assert.Equal(t, &protocol.Done{Ack: 1}, a.ask(tape.socket.PID(), &protocol.Link{PID: one.pid, Ack: 1}))
		assert.Equal(t, &protocol.Done{Ack: 2}, a.ask(tape.socket.PID(), &protocol.Link{PID: two.pid, Ack: 2}))
		assert.Equal(t, &protocol.Done{Ack: 3}, a.ask(tape.socket.PID(), &protocol.Unlink{PID: two.pid, Ack: 3}))
		p.close()
		one.ended()
		assert.True(t, two.lives())
	})
}

func TestTwoConnectionsMayBeLinked(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, connection.Options{CloseTimeout: 50 * time.Millisecond, LingerTimeout: brief})
		p, one := s.connect()
		_, two := s.connect()
		_, three := s.connect()
		for tape, to := range map[*tape]*actor.PID{one: two.socket.PID(), two: three.socket.PID(), three: three.socket.PID()} {
			require.NoError(t, tape.do(&protocol.Link{PID: to}), "to itself, too")
		}
		p.close()
		assert.Equal(t, protocol.ReasonPeerClosed, one.ended().Reason)
		for tape, before := range map[*tape]*tape{two: one, three: two} {
			closed := tape.ended()
			assert.Equal(t, protocol.ReasonLinkDown, closed.Reason)
			down, ok := errors.AsType[*protocol.LinkDownError](closed.Err)
			require.True(t, ok)
			assert.Equal(t, before.socket.PID().Id, down.PID.Id, "it is named")
		}
		assert.Empty(t, w.deadLetters(three.socket.PID()), "it is not asked to end what it is itself")
	})
}

// ties are the ways for two connections to be linked.
var ties = map[string]func(t *testing.T, one, other *tape){
	"from the first to the second": func(t *testing.T, one, other *tape) {
		require.NoError(t, one.do(&protocol.Link{PID: other.socket.PID()}))
	},
	"from the second to the first": func(t *testing.T, one, other *tape) {
		require.NoError(t, other.do(&protocol.Link{PID: one.socket.PID()}))
	},
	"both": func(t *testing.T, one, other *tape) {
		require.NoError(t, one.do(&protocol.Link{PID: other.socket.PID()}))
		require.NoError(t, other.do(&protocol.Link{PID: one.socket.PID()}))
	},
}

func eachTie(t *testing.T, test func(t *testing.T, w *world, tie func(t *testing.T, one, other *tape))) {
	for name, tie := range ties {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) { test(t, w, tie) })
		})
	}
}

func TestALinkedCloseFlushes(t *testing.T) {
	for name, end := range map[string]func(w *world, p *peer, t *tape){
		"the peer's FIN": func(_ *world, p *peer, _ *tape) { p.close() },
		"Close":          func(_ *world, p *peer, t *tape) { _ = t.socket.Close(); p.close() },
		"a panic":        func(w *world, p *peer, t *tape) { w.system.Root.Send(t.socket.PID(), "panic"); p.close() },
	} {
		t.Run(name, func(t *testing.T) {
			eachTie(t, func(t *testing.T, w *world, tie func(t *testing.T, one, other *tape)) {
				o := roomy()
				o.CloseTimeout = time.Minute
				// Two listeners: a proxy has one for each side.
				p, one := w.serve(obeying(), o).connect()
				q, other := w.serve(script{}, o).connect()
				tie(t, one, other)
				other.stall() // 2 MB, and its peer does not read yet
				end(w, p, one)
				one.ended()
				assert.Equal(t, protocol.ReasonLinkDown, other.closing().Reason)
				assert.Len(t, q.rest(), stallSize)
				q.close()
				closed := other.ended()
				assert.Equal(t, protocol.ReasonLinkDown, closed.Reason)
				assert.Zero(t, closed.Stats.Unsent)
				down, ok := errors.AsType[*protocol.LinkDownError](closed.Err)
				require.True(t, ok)
				assert.Equal(t, one.socket.PID().Id, down.PID.Id)
			})
		})
	}
}

func TestAResetResetsTheLinkedConnection(t *testing.T) {
	mostlyWaits(t)
	for name, end := range map[string]func(w *world, p *peer, t *tape){
		"the peer's": func(w *world, p *peer, _ *tape) { w.needsReset(); p.reset() },
		"Abort":      func(_ *world, _ *peer, t *tape) { t.socket.Abort() },
		"Stop":       func(w *world, _ *peer, t *tape) { w.system.Root.Stop(t.socket.PID()) },
		"a close that is cut off": func(_ *world, _ *peer, t *tape) {
			t.stall()
			_ = t.socket.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachTie(t, func(t *testing.T, w *world, tie func(t *testing.T, one, other *tape)) {
				o := roomy()
				p, one := w.serve(script{}, connection.Options{WriteBufferSize: -1, CloseTimeout: 50 * time.Millisecond, WriteTimeout: -1}).connect()
				o.CloseTimeout = -1
				q, other := w.serve(script{}, o).connect()
				tie(t, one, other)
				other.stall()
				end(w, p, one)
				closed := other.ended() // although its peer does not read
				assert.Equal(t, protocol.ReasonLinkDown, closed.Reason)
				assert.NotZero(t, closed.Stats.Unsent)
				_, err := q.all()
				if w.network.resets {
					assert.Error(t, err, "RST, not FIN")
				}
			})
		})
	}
}

func TestALinkAfterTheEndEndsTheOtherConnectionAsThatDid(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, roomy())
		for _, orderly := range []bool{true, false} {
			p, one := s.connect()
			if orderly {
				p.close()
			} else {
				one.socket.Abort()
			}
			one.ended()
			for w.registered(one.socket.PID()) {
				w.yield()
			}
			q, other := s.connect()
			other.stall()
			assert.Error(t, one.do(&protocol.Link{PID: other.socket.PID()}))
			assert.Equal(t, protocol.ReasonLinkDown, other.closing().Reason)
			came := q.drain()
			if orderly {
				assert.Equal(t, stallSize, came())
				assert.Zero(t, other.ended().Stats.Unsent)
			} else {
				other.ended()
				came()
			}
		}
	})
}

func TestAMessageByAPIDThatWasUsedBeforeTheEndIsADeadLetter(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		pid, a := tape.socket.PID(), w.asker()
		assert.IsType(t, &protocol.Info{}, a.ask(pid, &protocol.GetInfo{}))
		p.close()
		tape.ended()
		for w.registered(pid) {
			w.yield()
		}
		assert.IsType(t, &actor.DeadLetterResponse{}, a.ask(pid, &protocol.Write{Data: []byte("late"), Ack: 1}))
		watcher := make(chan *actor.Terminated, 1)
		watching := w.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *actor.Started:
				ctx.Watch(pid)
			case *actor.Terminated:
				watcher <- m
			}
		}))
		defer func() { _ = w.system.Root.StopFuture(watching).Wait() }()
		select {
		case m := <-watcher:
			assert.Equal(t, pid.Id, m.Who.Id)
		case <-time.After(w.patience()):
			assert.Fail(t, "a late Watch is not answered")
		}
	})
}

// watching is a connection's actor that links and watches the same actor, or only one of the two.
type watching struct {
	links, watches, unwatches bool
	who                       *actor.PID
	ready                     chan protocol.Socket
	heard                     chan string
}

func (a *watching) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *protocol.Accepted:
		if a.watches {
			ctx.Watch(a.who)
		}
		if a.links {
			m.Socket.Link(a.who)
		}
		m.Socket.Do(&protocol.Resume{}, func(error) { // the link has been made by now
			if a.unwatches {
				ctx.Unwatch(a.who)
			}
			a.ready <- m.Socket
		})
	case *actor.Terminated:
		a.heard <- "terminated " + m.Who.Id
	case *protocol.Closed:
		a.heard <- m.Reason.String()
	}
}

// A handler's Watch and its connection's link to the same actor are independent.
func TestALinkAndAHandlersOwnWatchAreTwoThings(t *testing.T) {
	const unlinks = true
	for name, one := range map[string]struct {
		watching
		unlinks bool
		hears   []string // after the actor's end; the first two in any order
	}{
		"both":                  {watching{links: true, watches: true}, !unlinks, []string{"terminated", "link down"}},
		"link only":             {watching{links: true}, !unlinks, []string{"link down"}},
		"watch only":            {watching{watches: true}, !unlinks, []string{"terminated"}},
		"both, and then Unlink": {watching{links: true, watches: true}, unlinks, []string{"terminated"}},
		"both, and then Unwatch": {watching{links: true, watches: true, unwatches: true}, !unlinks,
			[]string{"link down"}},
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				who := w.partner()
				a := one.watching
				a.who, a.ready, a.heard = who.pid, make(chan protocol.Socket, 1), make(chan string, 10)
				s := &server{w: w}
				s.start(tcpactor.Actors(func() actor.Actor { return &a }), listener.Options{Connection: connection.Options{CloseTimeout: time.Millisecond, LingerTimeout: brief}})
				p := s.client()
				socket := <-a.ready
				if one.unlinks {
					done := make(chan error, 1)
					socket.Do(&protocol.Unlink{PID: who.pid}, func(err error) { done <- err })
					require.NoError(t, <-done)
				}
				who.stop()
				var want, heard []string
				for _, what := range one.hears {
					if what == "terminated" {
						what += " " + who.pid.Id
					}
					want = append(want, what)
				}
				for range want {
					select {
					case what := <-a.heard:
						heard = append(heard, what)
					case <-time.After(w.patience()):
						require.Fail(t, "waited in vain", "heard %v of %v", heard, want)
					}
				}
				assert.ElementsMatch(t, want, heard)
				w.settle()
				assert.Empty(t, a.heard)
				p.close()
			})
		})
	}
}

// A linked actor ends with the connection at any moment, whether the link came in time or too late,
// and nothing is left.
func TestLinksDuringTheEndLeakNoActor(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, connection.Options{CloseTimeout: 10 * time.Millisecond, LingerTimeout: brief})
		for round := range 20 {
			random := rand.New(rand.NewPCG(1, uint64(round)))
			p, tape := s.connect()
			linked := make([]*partner, 12)
			var all sync.WaitGroup
			for i := range linked {
				linked[i] = w.partner()
				before, toggles := random.IntN(30), random.IntN(4)
				all.Go(func() {
					for range before {
						w.yield()
					}
					for range toggles {
						tape.socket.Link(linked[i].pid)
						tape.socket.Unlink(linked[i].pid)
					}
					tape.socket.Link(linked[i].pid)
				})
			}
			for range random.IntN(30) {
				w.yield()
			}
			switch round % 3 {
			case 0:
				linked[0].stop() // before, while or after it is linked
			case 1:
				tape.socket.Abort()
			default:
				p.close()
			}
			all.Wait()
			for _, one := range linked {
				one.ended()
			}
			tape.ended()
		}
		require.NoError(t, s.Close())
		for _, tape := range w.tapes {
			links := w.system.NewLocalPID(fmt.Sprint(tape.socket.PID().Id, "/links"))
			assert.False(t, w.registered(links))
		}
	})
}

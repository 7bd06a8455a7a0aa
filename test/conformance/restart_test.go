package conformance

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// RestartHandler: a handler that panics is replaced by a new one on the same socket. The handlers
// of one connection share a tape, so that the order (G1), the input (G2) and the output (G3, G4)
// are checked over all of them.

// restarting returns options that allow a number of panics.
func restarting(most int) connection.Options {
	return connection.Options{RestartHandler: connection.RestartHandler{Max: most}}
}

// failsOn is a script with handlers that consume the word "fail" and panic. They leave the bytes
// behind it, and consume everything else.
func failsOn(word string) script {
	return script{data: func(t *tape, b *protocol.Buffer) error {
		if strings.HasPrefix(string(b.Bytes()), word) {
			b.Discard(len(word))
			panic(errBroken)
		}
		b.Discard(b.Len())
		return nil
	}}
}

func TestAHandlerThatPanicsIsReplacedOnItsSocket(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, failsOn("fail"), only(restarting(1))).connect()
		p.send("failrest")
		assert.Equal(t, "rest", tape.nth(2, "data").text, "the unread bytes, though no new ones came")
		assert.Equal(t, []string{"accepted", "data", "again", "data"}, tape.kinds())
		p.send("more")
		tape.sees("failrestmore")
		p.close()
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
	})
}

func TestAValueStaysWithItsConnectionOverARestart(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		greeted := make(chan [2]any, 8) // value and restarts
		greet := func(t *tape) error {
			greeted <- [2]any{t.socket.Value(), t.socket.Restarts()}
			return nil
		}
		play := failsOn("fail")
		play.accepted, play.again = greet, greet
		s := w.open(factory, play, only(restarting(2)))
		p, tape := s.connect()
		assert.Equal(t, [2]any{nil, 0}, <-greeted)
		tape.socket.SetValue([]int{1}) // of a type that has no ==
		p.send("fail")
		assert.Equal(t, [2]any{[]int{1}, 1}, <-greeted)
		tape.socket.SetValue("another type")
		p.send("fail")
		assert.Equal(t, [2]any{"another type", 2}, <-greeted)
		p.close()
		tape.ended()
		assert.Equal(t, "another type", tape.socket.Value())
		assert.Equal(t, 2, tape.socket.Restarts())
		tape.socket.SetValue(nil)
		assert.Nil(t, tape.socket.Value())

		p, tape = s.connect()
		assert.Equal(t, [2]any{nil, 0}, <-greeted)
		tape.socket.SetValue(nil)
		assert.Nil(t, tape.socket.Value(), "each connection has its own")
		p.close()
	})
}

func TestAnyGoroutineMaySetAValue(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{}).connect()
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for range 100 {
					tape.socket.SetValue(i)
					value, ok := tape.socket.Value().(int)
					assert.True(t, ok && value < 8)
					assert.Zero(t, tape.socket.Restarts())
				}
			})
		}
		all.Wait()
	})
}

func TestWithNothingUnreadANewHandlerWaitsForInput(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, failsOn("fail"), only(restarting(1))).connect()
		p.send("fail")
		tape.await("again")
		w.settle()
		assert.Equal(t, []string{"accepted", "data", "again"}, tape.kinds())
		p.send("more")
		tape.sees("failmore")
	})
}

func TestOnePanicTooManyClosesTheConnection(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, script{data: func(*tape, *protocol.Buffer) error { return explode() }}, only(restarting(3)))
		p, tape := s.connect()
		p.send("x")
		p.rest()
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonHandlerPanic, closed.Reason)
		assert.ErrorIs(t, closed.Err, errBroken)
		assert.Equal(t, []string{"accepted", "data", "again", "data", "again", "data", "again", "data", "closed"}, tape.kinds())
		assert.Equal(t, "x", tape.seen(), "shown each time, never lost")
	})
}

func TestPanicsAreCountedOverTheirTime(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := restarting(2)
		o.RestartHandler.Within = time.Minute
		p, tape := w.serve(failsOn("fail"), o).connect()
		fail := func(after time.Duration, restarts int) {
			time.Sleep(after)
			p.send("fail")
			tape.nth(restarts, "again")
		}
		fail(0, 1)
		fail(time.Minute-1, 2)
		fail(1, 3)
		fail(time.Minute-1, 4)
		fail(time.Hour, 5)
		fail(0, 6)
		time.Sleep(time.Minute - 1)
		p.send("fail")
		assert.Equal(t, protocol.ReasonHandlerPanic, tape.ended().Reason)
	})
}

func TestOverTheWholeLifeOfAConnectionNoPanicIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := restarting(1)
		o.RestartHandler.Within = -1
		p, tape := w.serve(failsOn("fail"), o).connect()
		p.send("fail")
		tape.await("again")
		time.Sleep(time.Hour)
		p.send("fail")
		assert.Equal(t, protocol.ReasonHandlerPanic, tape.ended().Reason)
	})
}

func TestAPanicInAcceptedCountsAsAnyOther(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		twice := func(t *tape) error {
			if t.count("again") < 2 {
				return explode()
			}
			return nil
		}
		always := func(*tape) error { return explode() }
		p, tape := w.open(factory, script{accepted: twice, again: twice}, only(restarting(2))).connect()
		p.send("served")
		tape.sees("served")
		assert.Equal(t, []string{"accepted", "again", "again", "data"}, tape.kinds())

		p, refused := w.open(factory, script{accepted: always, again: always}, only(restarting(2))).connect()
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonHandlerPanic, refused.ended().Reason)
		assert.Equal(t, []string{"accepted", "again", "again", "closed"}, refused.kinds())
	})
}

func TestAPanicOfTheFactoryCountsAsAnyOther(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := &server{w: w, accepted: make(chan *tape, 8)}
		good := handlersForm(s, failsOn("fail"))
		opened := 0
		s.start(factoryFunc(func() tcpactor.Receiver {
			if opened++; opened == 1 || opened == 3 {
				panic(errBroken)
			}
			return good.Open()
		}), only(restarting(4)))
		p, tape := s.connect()
		p.send("failfail")
		tape.sees("failfail")
		tape.nth(2, "again")
		p.send("fail") // the fifth panic
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonHandlerPanic, tape.ended().Reason)
	})
}

func TestAPanicInACompletionOrAMessageCountsAsAnyOther(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{message: func(*tape, actor.Context, any) error { return explode() }}, restarting(2)).connect()
		require.NoError(t, tape.socket.WriteOwned([]byte("first"), func(error) { _ = explode() }))
		tape.book(len("first"))
		p.expect("first")
		tape.await("again")
		w.system.Root.Send(tape.socket.PID(), "message")
		tape.nth(2, "again")
		p.send("served")
		tape.sees("served")
	})
}

func TestWritesAcceptedBeforeAPanicStayQueued(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		o := roomy()
		o.RestartHandler.Max = 1
		play := script{
			data: func(t *tape, b *protocol.Buffer) error {
				b.Discard(b.Len())
				_ = t.write("before", pattern(stallSize))
				return explode()
			},
			again: func(t *tape) error {
				err := t.write("after", "the new one's")
				assert.Equal(w.t, 2, t.socket.Info().QueuedWrites)
				return err
			},
		}
		p, tape := w.open(factory, play, only(o)).connect()
		p.send("go")
		tape.await("again")
		same(t, pattern(stallSize)+"the new one's", string(p.take(stallSize+len("the new one's"))))
		assert.NoError(t, tape.await("before").err)
		assert.NoError(t, tape.await("after").err)
	})
}

func TestAPauseOutlivesItsHandler(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{data: func(t *tape, b *protocol.Buffer) error {
			if t.count("again") == 0 {
				t.socket.Pause()
			}
			b.Discard(1)
			return nil
		}}, only(restarting(1))).connect()
		p.send("held")
		tape.paused()
		require.NoError(t, tape.socket.WriteOwned(nil, func(error) { _ = explode() }))
		tape.await("again")
		p.send("more")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
		assert.True(t, tape.socket.Info().Paused)
		tape.socket.Resume()
		assert.Equal(t, "eld", tape.nth(2, "data").text)
		tape.sees("heldmore")
	})
}

func TestInPullModeANewHandlerAsksForItsData(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := restarting(1)
		o.ReadMode = connection.Pull
		ask := func(t *tape) error { t.socket.Resume(); return nil }
		play := failsOn("fail")
		play.accepted = ask
		p, tape := w.serve(play, o).connect()
		p.send("failrest")
		tape.await("again")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
		assert.NoError(t, ask(tape))
		assert.Equal(t, "rest", tape.nth(2, "data").text)
	})
}

// The memory that a call forwarded before it panicked belongs to the write, and not to the
// connection any more. In a build with the tag berthdebug, the test detects memory that went back
// too early.
func TestAPanicAfterForwardLosesAndRepeatsNothing(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		const rounds = 50
		play := script{data: func(t *tape, b *protocol.Buffer) error {
			n, err := t.socket.Forward(b)
			t.book(n)
			require.NoError(t.w.t, err)
			return explode()
		}}
		p, tape := w.open(factory, play, only(restarting(rounds))).connect()
		sent := pattern(rounds * 1900)
		for round := range rounds {
			part := sent[round*1900:][:1900]
			p.send(part)
			p.expect(part)
		}
		tape.nth(rounds, "again")
		tape.sees(sent)
	})
}

func TestAnErrorOrAGoexitClosesAlsoWhereHandlersAreRestarted(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(failing(func() error { return errBroken }), restarting(9)).connect()
		p.send("fail")
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonHandlerError, tape.ended().Reason)

		p, tape = w.serve(failing(func() error { runtime.Goexit(); return nil }), restarting(9)).connect()
		p.send("fail")
		_, _ = p.all()
		assert.ErrorIs(t, tape.ended().Err, protocol.ErrGoexit)
		assert.Zero(t, tape.count("again"))
	})
}

func TestNothingIsRestartedOnceTheEndHasBegun(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		play := script{
			data:   func(t *tape, b *protocol.Buffer) error { _ = t.socket.Close(); return explode() },
			closed: func(*tape) { _ = explode() },
		}
		p, tape := w.open(factory, play, only(restarting(9))).connect()
		p.send("x")
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason)
		w.settle()
		assert.Equal(t, []string{"accepted", "data", "closed"}, tape.kinds())
	})
}

func TestANewHandlerHearsThatThePeerHasClosed(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := restarting(2)
		o.KeepOpenOnPeerClosed = true
		p, tape := w.serve(script{
			data: func(t *tape, b *protocol.Buffer) error {
				if t.count("again") > 0 {
					b.Discard(b.Len())
				}
				return nil
			},
			peerClosed: func(t *tape) error {
				if t.count("again") == 0 {
					return explode()
				}
				return t.socket.Close()
			},
		}, o).connect()
		p.send("x")
		p.closeWrite()
		p.rest()
		tape.ended()
		kinds := tape.kinds()
		for i, kind := range kinds {
			if kind == "again" {
				assert.Equal(t, []string{"data", "peerclosed", "closed"}, kinds[i+1:], "what was unread comes before it, as it did")
			}
		}
		assert.Equal(t, 1, tape.count("again"))
	})
}

func TestANewHandlerHearsThatTheQueueIsHigh(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := roomy()
		o.HighWater, o.LowWater, o.ReadGate, o.RestartHandler.Max = 1000, 10, connection.GateOff, 1
		p, tape := w.serve(failsOn("fail"), o).connect()
		tape.stall()
		tape.await("writable")
		p.send("fail")
		assert.False(t, tape.nth(2, "writable").flag)
		p.take(stallSize)
		assert.True(t, tape.nth(3, "writable").flag)
		assert.Equal(t, []string{"accepted", "writable", "data", "again", "writable"}, tape.kinds()[:5])
	})
}

func TestANewHandlerHearsThatTheServerDrains(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := restarting(1)
		o.DrainQuiet = -1
		s := w.listen(script{draining: func(t *tape, _ time.Time) error {
			if t.count("draining") == 1 {
				return explode()
			}
			return t.say("bye")
		}}, only(o))
		p, tape := s.connect()
		w.system.Root.Send(s.PID(), &protocol.Shutdown{Deadline: time.Now().Add(w.patience())})
		p.expect("bye")
		_ = tape.socket.Close()
		p.close()
		<-s.Done()
		assert.Equal(t, []string{"accepted", "draining", "again", "draining", "closed"}, tape.kinds())
	})
}

func TestANewHandlerHearsOfItsAge(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := restarting(1)
		o.MaxAge, o.DrainQuiet = time.Minute, -1
		p, tape := w.serve(script{draining: func(t *tape, _ time.Time) error {
			if t.count("draining") == 1 {
				return explode()
			}
			return t.socket.Close()
		}}, o).connect()
		p.rest()
		p.close()
		assert.Equal(t, []string{"accepted", "draining", "again", "draining"}, tape.kinds()[:4])
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason)
	})
}

func TestARestartIsPublished(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		published := make(chan *connection.HandlerFailed, 8)
		subscription := w.system.EventStream.Subscribe(func(e any) {
			if failed, ok := e.(*connection.HandlerFailed); ok {
				published <- failed
			}
		})
		defer w.system.EventStream.Unsubscribe(subscription)
		s := w.serve(failsOn("fail"), restarting(1))
		p, tape := s.connect()
		expect := func(restarted bool) {
			t.Helper()
			failed := <-published
			assert.Equal(t, tape.socket.PID(), failed.PID)
			assert.Equal(t, protocol.ReasonHandlerPanic, failed.Reason)
			assert.ErrorIs(t, failed.Err, errBroken)
			assert.Equal(t, restarted, failed.Restarted)
		}
		p.send("failfail")
		expect(true)
		expect(false)
		p, tape = s.connect()
		require.NoError(t, tape.socket.WriteOwned(nil, func(error) {
			_ = tape.socket.Close()
			_ = explode()
		}))
		expect(false)
		p.close()
		assert.Empty(t, published)
	})
}

// Random sequences: a client sends pieces; handlers consume some, send it back by one way or
// another, and panic at any point of that.
func TestWhateverHandlersThatPanicDoNothingIsLostOrRepeated(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		seed := uint64(time.Now().UnixNano())
		if w.network.virtual() {
			seed = rand.Uint64() // a bubble's clock always begins at the same time
		}
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0)) // of the handlers, which run one at a time
		const size = 60_000
		sent := pattern(size)
		o := restarting(size)
		o.ReadBufferSize, o.WriteQueueSize, o.WriteBufferSize, o.HoldFullReadBuffer = 3000, 1000, 1<<20, true
		p, tape := w.open(factory, script{data: func(t *tape, b *protocol.Buffer) error {
			switch random.IntN(4) {
			case 0: // consumes nothing, and the panic is the only reason for another call
				return explode()
			case 1:
				n, err := t.socket.Forward(b)
				t.book(n)
				require.NoError(w.t, err)
			case 2:
				part := b.Next(1 + random.IntN(b.Len()))
				_ = t.say(string(part[:len(part)/2]))
				_ = t.write("completed", string(part[len(part)/2:]))
			case 3:
				_ = t.write("completed", string(b.Next(b.Len())))
			}
			if random.IntN(3) == 0 {
				return explode()
			}
			t.socket.Resume() // the bytes that it left are shown again
			return nil
		}}, only(o)).connect()
		go func() {
			pieces := rand.New(rand.NewPCG(seed, 1))
			for rest := sent; rest != ""; {
				n := min(len(rest), 1+pieces.IntN(2000))
				if _, err := p.Write([]byte(rest[:n])); err != nil {
					return // the reading side reports it
				}
				rest = rest[n:]
			}
		}()
		same(t, sent, string(p.take(size)))
		tape.sees(sent)
		assert.Positive(t, tape.count("again"), "nothing was tested")
		p.close()
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
	})
}

// The tests from here on are about an actor that is the connection.

// successor is an actor with a named child. Only one actor at a time can have that name.
type successor struct {
	life    chan<- string
	child   func(actor.Context)
	sockets chan<- protocol.Socket // if not nil
	blocked chan struct{}          // what a message waits for
}

func (s *successor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.life <- "started, timeout " + ctx.ReceiveTimeout().String()
		ctx.SetReceiveTimeout(time.Hour)
		ctx.Spawn(actor.PropsFromFunc(s.child))
		if _, err := ctx.SpawnNamed(actor.PropsFromFunc(s.child), "child"); err != nil {
			s.life <- err.Error()
		}
	case *protocol.Accepted:
		s.life <- "accepted " + strings.Repeat("I", m.Restarts)
		if s.sockets != nil {
			s.sockets <- m.Socket
		}
	case *protocol.Data:
		panic(string(m.Buffer.Next(m.Buffer.Len())))
	case *actor.Restarting:
		s.life <- "restarting"
		panic(errBroken)
	case *protocol.Writable:
		s.life <- fmt.Sprint("writable ", m.Ready)
	case *protocol.Closed:
		s.life <- "closed"
	case string:
		s.life <- m
		if s.blocked != nil {
			<-s.blocked
		}
	case *actor.Terminated:
		s.life <- "terminated"
	}
}

func TestAPanickedActorStopsItsChildrenFirst(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		life := make(chan string, 100)
		sockets := make(chan protocol.Socket, 8)
		mayEnd := make(chan struct{})
		s := (&server{w: w}).start(tcpactor.Actors(func() actor.Actor {
			return &successor{life: life, child: lingering(life, mayEnd), sockets: sockets}
		}), only(restarting(2)))
		p := s.client()
		socket := <-sockets
		expect := func(what ...string) {
			t.Helper()
			for _, one := range what {
				require.Equal(t, one, <-life)
			}
		}
		expect("started, timeout 0s", "accepted ")
		p.send("fail")
		expect("restarting")
		p.send("more") // must wait, as must a message
		w.system.Root.Send(socket.PID(), "message")
		w.settle()
		assert.Empty(t, life)
		close(mayEnd)
		expect("child ended", "child ended", "started, timeout 0s", "accepted I", "message", "restarting")
		expect("child ended", "child ended", "started, timeout 0s", "accepted II")
		p.send("one too many")
		p.rest()
		p.close()
		expect("closed")
		assert.ElementsMatch(t, []string{"child ended", "child ended", "terminated", "terminated"}, []string{<-life, <-life, <-life, <-life})
	})
}

// lingering is a child that reports its end, and may not end before mayEnd is closed.
func lingering(life chan<- string, mayEnd <-chan struct{}) func(actor.Context) {
	return func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Stopping); ok {
			<-mayEnd
			life <- "child ended"
		}
	}
}

func TestWhatComesUpDuringARestartIsNotForTheOldHandler(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		life := make(chan string, 100)
		sockets := make(chan protocol.Socket, 8)
		mayEnd, blocked := make(chan struct{}), make(chan struct{})
		o := roomy()
		o.HighWater, o.RestartHandler.Max = 10, 1
		(&server{w: w}).start(tcpactor.Actors(func() actor.Actor {
			return &successor{life, lingering(life, mayEnd), sockets, blocked}
		}), only(o))
		p := w.servers[0].client()
		socket := <-sockets
		expect := func(what ...string) {
			t.Helper()
			for _, one := range what {
				require.Equal(t, one, <-life)
			}
		}
		require.NoError(t, socket.WriteOwned(make([]byte, stallSize), func(error) { panic(errBroken) }))
		expect("started, timeout 0s", "accepted ", "writable false")
		asker := w.asker()
		asker.send(socket.PID(), &protocol.Write{Data: []byte("x"), Ack: 1})
		w.system.Root.Send(socket.PID(), "blocked")
		expect("blocked")
		p.take(stallSize + 1)
		assert.Equal(t, &protocol.Written{Ack: 1}, asker.answer())
		close(blocked) // and now two things wait for the connection: the completion, which panics, and the low water
		expect("restarting")
		w.settle()
		assert.Empty(t, life)
		close(mayEnd)
		expect("child ended", "child ended", "started, timeout 0s", "accepted I")
		p.close()
		expect("closed")
	})
}

func TestWhileTheFactoryPanicsNothingIsToldTwice(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		life := make(chan string, 100)
		made := 0
		s := (&server{w: w}).start(tcpactor.Actors(func() actor.Actor {
			if made++; made == 2 || made == 3 {
				panic(errBroken)
			}
			return &successor{life: life, child: func(actor.Context) {}}
		}), only(restarting(3)))
		s.client().send("fail")
		for _, one := range []string{"started, timeout 0s", "accepted ", "restarting", "started, timeout 0s", "accepted III"} {
			require.Equal(t, one, <-life)
		}
	})
}

func TestAnActorThatPanicsInStartedIsNotTheOneThatGetsAccepted(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		made := 0
		accepted := make(chan int, 8)
		(&server{w: w}).start(tcpactor.Actors(func() actor.Actor {
			made++
			number := made
			return actor.ReceiveFunc(func(ctx actor.Context) {
				switch ctx.Message().(type) {
				case *actor.Started:
					if number == 1 {
						panic(errBroken)
					}
				case *protocol.Accepted:
					accepted <- number
				}
			})
		}), only(restarting(1))).client()
		assert.Equal(t, 2, <-accepted)
	})
}

func TestAnEndDuringARestartComesToTheOldHandler(t *testing.T) {
	for name, end := range map[string]func(w *world, s *server, socket protocol.Socket){
		"stop":  func(w *world, _ *server, socket protocol.Socket) { w.system.Root.Stop(socket.PID()) },
		"abort": func(_ *world, _ *server, socket protocol.Socket) { socket.Abort() },
		"close": func(w *world, s *server, _ protocol.Socket) {
			w.system.Root.Send(s.PID(), &protocol.Shutdown{Deadline: time.Now()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				life := make(chan string, 100)
				sockets := make(chan protocol.Socket, 1)
				mayEnd := make(chan struct{})
				child := func(ctx actor.Context) {
					if _, ok := ctx.Message().(*actor.Stopping); ok {
						<-mayEnd
					}
				}
				s := (&server{w: w}).start(tcpactor.Actors(func() actor.Actor {
					return &successor{life: life, sockets: sockets, child: child}
				}), only(restarting(2)))
				p := s.client()
				p.send("fail")
				for _, one := range []string{"started, timeout 0s", "accepted ", "restarting"} {
					require.Equal(t, one, <-life)
				}
				end(w, s, <-sockets)
				_, _ = p.all()
				close(mayEnd)
				require.Equal(t, "closed", <-life)
				s.finish(t, func() { _ = s.Close() })
				assert.Empty(t, life, "there is no other handler, and no other Closed")
				assert.Empty(t, w.actorsOf(s))
			})
		})
	}
}

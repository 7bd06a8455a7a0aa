package conformance

import (
	"math/rand/v2"
	"net"
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

// Become: another handler on a live connection. The handlers of one connection share a tape, so
// that order (G1), input (G2) and output (G3, G4) are checked over all of them.

// upgradable starts a server of which handlers are replaced.
func (w *world) upgradable(factory factoryOf, play script, o connection.Options) *server {
	s := w.open(factory, play, only(o))
	s.restarting = true
	return s
}

// upgrades is a script with handlers that consume all up to "UPGRADE " and make room for others.
func upgrades(s **server, to factoryOf, then script) script {
	return script{data: func(t *tape, b *protocol.Buffer) error {
		i := b.Index([]byte("UPGRADE "))
		if i < 0 {
			b.Discard(b.Len())
			return nil
		}
		b.Discard(i + len("UPGRADE "))
		return t.socket.Become(to(*s, then))
	}}
}

func TestANewHandlerIsShownExactlyTheUnreadBytes(t *testing.T) {
	for name, to := range factories {
		t.Run("to "+name, func(t *testing.T) {
			eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
				var s *server
				s = w.upgradable(factory, upgrades(&s, to, script{}), connection.Options{})
				p, tape := s.connect()
				p.send("old UPGRADE new")
				assert.Equal(t, "new", tape.nth(2, "data").text, "although no new bytes came")
				p.send("er")
				tape.sees("old UPGRADE newer")
				p.close()
				assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
				assert.Equal(t, []string{"accepted", "data", "again", "data", "data", "closed"}, tape.kinds())
			})
		})
	}
}

func TestAtTheEndOfTheStreamTheNewHandlerIsShownTheRest(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		var s *server
		s = w.upgradable(factory, upgrades(&s, factory, script{}), connection.Options{ReadMode: connection.Pull})
		p, tape := s.connect()
		p.send("UPGRADE last words")
		p.closeWrite()
		w.settle()
		tape.socket.Do(&protocol.Resume{Credit: 9}, nil)
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		assert.Equal(t, "UPGRADE last words", tape.seen())
		assert.Equal(t, 1, tape.count("again"))
	})
}

func TestAPauseHoldsTheUnreadBytesOfTheNewHandlerToo(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.upgradable(factory, script{data: func(t *tape, _ *protocol.Buffer) error {
			t.socket.Pause()
			return nil
		}}, connection.Options{})
		p, tape := s.connect()
		p.send("held")
		tape.paused()
		assert.NoError(t, tape.socket.Become(factory(s, script{})))
		tape.await("again")
		p.send("more")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
		tape.socket.Resume()
		assert.Equal(t, "held", tape.nth(2, "data").text)
		tape.sees("heldmore")
	})
}

func TestWhatTheOldHandlerNeededIsForgotten(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		for _, consumed := range []int{0, 3} {
			s := w.upgradable(factory, script{data: func(t *tape, b *protocol.Buffer) error {
				b.Discard(consumed)
				return b.Need(1000)
			}}, connection.Options{})
			p, tape := s.connect()
			p.send("old")
			tape.await("data")
			assert.NoError(t, tape.socket.Become(factory(s, script{})))
			tape.await("again")
			p.send("new")
			tape.sees("oldnew")
		}
	})
}

func TestMessagesGoToTheHandlerThatIsThereThen(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		for _, factory := range []factoryOf{handlersForm, actorsForm} {
			tell := func(who string) script {
				return script{message: func(t *tape, _ actor.Context, message any) error {
					return t.say(who + " " + message.(string) + ". ")
				}}
			}
			s := w.upgradable(factory, tell("old"), connection.Options{})
			p, tape := s.connect()
			a, pid := w.asker(), tape.socket.PID()
			a.send(pid, "one")
			a.send(pid, &protocol.Become{Handler: factory(s, tell("new")), Ack: 1})
			a.send(pid, "two")
			p.expect("old one. new two. ")
			assert.Equal(t, &protocol.Done{Ack: 1}, a.answer())
			assert.Equal(t, &protocol.Done{Ack: 2, Err: errNoHandler}, textual(a.ask(pid, &protocol.Become{Ack: 2})))
			a.send(pid, "three")
			p.expect("new three. ")
		}
	})
}

// errNoHandler is the text of the error for a Become without a handler.
var errNoHandler = textError("berth: Become needs a handler")

type textError string

func (e textError) Error() string { return string(e) }

// textual makes the error of an answer comparable.
func textual(answer any) any {
	if done, ok := answer.(*protocol.Done); ok && done.Err != nil {
		return &protocol.Done{Ack: done.Ack, Err: textError(done.Err.Error())}
	}
	return answer
}

func TestWhatTheOldHandlerWroteGoesOutAndCompletes(t *testing.T) {
	const size = 256 << 10
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		var s *server
		s = w.upgradable(factory, script{accepted: func(t *tape) error {
			err := t.write("old", pattern(size))
			require.NoError(w.t, err)
			return t.socket.Become(factory(s, script{}))
		}}, roomy())
		p, tape := s.connect()
		tape.await("again")
		require.NoError(t, tape.write("new", "and this"))
		same(t, pattern(size)+"and this", string(p.take(size+len("and this"))))
		assert.NoError(t, tape.await("old").err)
		assert.NoError(t, tape.await("new").err)
	})
}

func TestAConnectionThatEndsKeepsItsHandler(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		var s *server
		s = w.upgradable(factory, script{data: func(t *tape, b *protocol.Buffer) error {
			b.Discard(b.Len())
			assert.NoError(w.t, t.socket.Become(factory(s, script{}))) // too early to know
			return t.socket.Close()
		}}, connection.Options{LingerTimeout: time.Hour})
		p, tape := s.connect()
		p.send("x")
		p.rest()
		assert.ErrorIs(t, tape.socket.Become(factory(s, script{})), protocol.ErrClosed)
		tape.socket.Do(&protocol.Become{Handler: factory(s, script{})}, tape.done("refused"))
		assert.ErrorIs(t, tape.await("refused").err, net.ErrClosed)
		a := w.asker()
		assert.Equal(t, &protocol.Done{Ack: 1, Err: protocol.ErrClosed},
			a.ask(tape.socket.PID(), &protocol.Become{Handler: factory(s, script{}), Ack: 1}))
		p.close()
		tape.ended()
		assert.Equal(t, []string{"accepted", "data", "refused", "closed"}, tape.kinds())
		late := make(chan error, 1)
		tape.socket.Do(&protocol.Become{Handler: factory(s, script{})}, func(err error) { late <- err })
		assert.ErrorIs(t, received(w, late), protocol.ErrClosed)
	})
}

func TestBecomeWithoutAHandlerChangesNothing(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		assert.EqualError(t, tape.socket.Become(nil), string(errNoHandler))
		assert.EqualError(t, tape.socket.Become(tcpactor.Handlers(nil)), "berth: Handlers needs a function that makes a Handler")
		tape.socket.Do(&protocol.Become{Handler: tcpactor.HandlerFunc(nil)}, tape.done("refused"))
		assert.EqualError(t, tape.await("refused").err, "berth: no HandlerFunc: it is nil")
		p.send("served")
		tape.sees("served")
		assert.Equal(t, 1, tape.count("accepted"))
	})
}

func TestAfterAPanicTheNewHandlersSuccessorIsOfItsKind(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		var s *server
		restarts := make(chan int, 8)
		count := func(t *tape) error { restarts <- t.socket.Restarts(); return nil }
		kind := failsOn("fail")
		kind.again = count
		s = w.upgradable(factory, script{
			again: count,
			data: func(t *tape, b *protocol.Buffer) error {
				if strings.HasPrefix(string(b.Bytes()), "panic") {
					b.Discard(len("panic"))
					panic(errBroken)
				}
				b.Discard(b.Len())
				return t.socket.Become(factory(s, kind))
			},
		}, restarting(9))
		p, tape := s.connect()
		p.send("panic")
		assert.Equal(t, 1, received(w, restarts))
		p.send("become")
		assert.Equal(t, 0, received(w, restarts), "counted from the Become on")
		p.send("failrest")
		assert.Equal(t, 1, received(w, restarts))
		tape.sees("panicbecomefailrest")
	})
}

func TestAFactoryThatPanicsInABecomeEndsTheConnection(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.upgradable(factory, script{}, connection.Options{}).connect()
		tape.socket.Do(&protocol.Become{Handler: factoryFunc(func() tcpactor.Receiver { panic(errBroken) })}, tape.done("refused"))
		assert.Error(t, tape.await("refused").err)
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonHandlerPanic, tape.ended().Reason, "which the old one is told")
	})
}

// polite answers the peer's FIN.
var polite = script{peerClosed: func(t *tape) error { return t.say("bye") }}

func TestANewHandlerIsToldOfThePeersFIN(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.upgradable(handlersForm, script{}, connection.Options{KeepOpenOnPeerClosed: true})
		p, tape := s.connect()
		p.closeWrite()
		tape.await("peerclosed")
		assert.NoError(t, tape.socket.Become(handlersForm(s, polite)))
		p.expect("bye")
		assert.Equal(t, []string{"accepted", "peerclosed", "again", "peerclosed"}, tape.kinds())
	})
}

func TestAnActorMakesRoomOnceItsChildrenHaveEnded(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		for _, aborts := range []bool{false, true} {
			life, sockets, mayEnd := make(chan string, 100), make(chan protocol.Socket, 8), make(chan struct{})
			(&server{w: w}).start(tcpactor.Actors(func() actor.Actor {
				return &successor{life: life, child: lingering(life, mayEnd), sockets: sockets}
			}), only(connection.Options{}))
			p := w.servers[len(w.servers)-1].client()
			socket := received(w, sockets)
			expect := func(what ...string) {
				t.Helper()
				for _, one := range what {
					require.Equal(t, one, received(w, life))
				}
			}
			expect("started, timeout 0s", "accepted ")
			outcome := make(chan error, 1)
			socket.Do(&protocol.Become{Handler: tcpactor.HandlerFunc(func(socket protocol.Socket, b *protocol.Buffer) error {
				_, err := socket.Forward(b)
				return err
			})}, func(err error) { outcome <- err })
			expect("restarting")
			p.send("more") // must wait
			w.settle()
			assert.Empty(t, outcome)
			if aborts {
				socket.Abort()
			}
			close(mayEnd)
			expect("child ended", "child ended")
			if aborts {
				_, _ = p.all()
				expect("closed")
				assert.Error(t, received(w, outcome))
			} else {
				p.expect("more")
				assert.NoError(t, received(w, outcome))
				p.close()
			}
		}
	})
}

// A stream while handlers of all forms follow each other.
func TestWhileHandlersChangeNothingIsLostOrRepeated(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0)) // of the handlers, which run one at a time
		const size, changes = 50_000, 15
		play := script{data: func(_ *tape, b *protocol.Buffer) error {
			b.Discard(1 + random.IntN(b.Len()))
			return nil
		}}
		s := w.upgradable(factory, play, connection.Options{HoldFullReadBuffer: true})
		p, tape := s.connect()
		var all sync.WaitGroup
		all.Go(func() {
			for n := range changes {
				for _, to := range factories {
					done := make(chan error, 1)
					tape.socket.Do(&protocol.Become{Handler: to(s, play)}, func(err error) { done <- err })
					if n%2 == 0 && received(w, done) != nil {
						return
					}
				}
			}
		})
		p.send(pattern(size))
		all.Wait()
		assert.NoError(t, tape.socket.Become(factory(s, script{})))
		tape.until("all of it", func([]event) bool { return len(tape.seen()) == size })
		same(t, pattern(size), tape.seen())
		p.close()
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		assert.Equal(t, 3*changes+1, tape.count("again"))
	})
}

package listener

import (
	"errors"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/faultnet"
	"github.com/go-berth/berth/test/simnet"
)

var errBoom = errors.New("boom")

func TestAnAcceptThatPanicsOrEndsItsGoroutineFailsItsAcceptorOnly(t *testing.T) {
	for name, step := range map[string]error{"panic": panics{errBoom}, "Goexit": errGoexits} {
		for _, whenFull := range []WhenFull{Wait, Reject} {
			t.Run(name, func(t *testing.T) {
				inABubble(t, Options{MaxConnections: 3, WhenFull: whenFull}, func(t *testing.T, w *world, l *Listener, f *faultnet.Listener, dial func() net.Conn) {
					live := dial()
					echoes(t, live)
					fail(f, step)
					echoes(t, dial()) // frees the accept that waits; the next one fails
					synctest.Wait()
					failed := published[*AcceptorFailed](w)
					require.Len(t, failed, 1)
					assert.Equal(t, l.Addr(), failed[0].Addr)
					assert.Equal(t, 1, failed[0].Restarts)
					assert.False(t, failed[0].Escalated)
					jittered(t, 0, failed[0].Wait)
					var panicked *protocol.PanicError
					if name == "panic" {
						require.ErrorIs(t, failed[0].Err, errBoom)
						require.ErrorAs(t, failed[0].Err, &panicked)
						assert.Contains(t, string(panicked.Stack), "Accept", "where it panicked")
						require.EqualError(t, failed[0].Err, "berth: panic: boom")
					} else {
						require.EqualError(t, failed[0].Err, "berth: runtime.Goexit was called")
					}
					echoes(t, live)
					echoes(t, dial()) // the third of three: no permit was lost
					assert.EqualValues(t, 3, l.Info().Accepted)
					assert.Empty(t, published[*AcceptFailed](w))
				})
			})
		}
	}
}

func TestAnAcceptorThatFailsAgainAndAgainWaitsTwiceAsLongEachTime(t *testing.T) {
	inABubble(t, Options{}, func(t *testing.T, w *world, _ *Listener, f *faultnet.Listener, dial func() net.Conn) {
		live := dial()
		echoes(t, live)
		for range mostRestarts {
			fail(f, panics{errBoom})
		}
		echoes(t, dial())
		for n := range mostRestarts {
			synctest.Wait()
			failed := published[*AcceptorFailed](w)
			require.Len(t, failed, n+1, "one event for each step")
			assert.Equal(t, n+1, failed[n].Restarts)
			jittered(t, n, failed[n].Wait)
			echoes(t, live)
			time.Sleep(failed[n].Wait - 1)
			synctest.Wait()
			require.Len(t, published[*AcceptorFailed](w), n+1, "not before the wait is over")
			time.Sleep(1)
		}
		echoes(t, dial())
		time.Sleep(restartWindow)
		fail(f, panics{errBoom})
		echoes(t, dial())
		synctest.Wait()
		failed := published[*AcceptorFailed](w)
		require.Len(t, failed, mostRestarts+1)
		assert.Equal(t, 1, failed[mostRestarts].Restarts, "a quiet time begins anew")
		jittered(t, 0, failed[mostRestarts].Wait)
		for _, f := range failed {
			assert.False(t, f.Escalated)
		}
	})
}

func TestAnAcceptorThatIsStoppedAgainAndAgainIsMadeAnewWithBackOff(t *testing.T) {
	inABubble(t, Options{}, func(t *testing.T, w *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		const stops = mostRestarts + 5
		for n := range stops {
			synctest.Wait()
			for _, pid := range w.acceptors(l) {
				w.Root.Stop(pid)
			}
			synctest.Wait()
			failed := published[*AcceptorFailed](w)
			require.Len(t, failed, n+1)
			require.ErrorIs(t, failed[n].Err, errAcceptorStopped)
			assert.False(t, failed[n].Escalated)
			if n < mostRestarts {
				jittered(t, n, failed[n].Wait)
			}
			assert.Empty(t, w.acceptors(l))
			time.Sleep(failed[n].Wait)
		}
		synctest.Wait()
		assert.Len(t, w.acceptors(l), 1)
		echoes(t, dial())
	})
}

// A timer that was left would send mail to an actor that has ended: a dead letter.
func TestWhileAnAcceptorWaitsAShutdownLeavesNoTimer(t *testing.T) {
	inABubble(t, Options{}, func(t *testing.T, w *world, l *Listener, f *faultnet.Listener, dial func() net.Conn) {
		c := dial()
		echoes(t, c) // from now on it waits in Accept
		for range mostRestarts {
			fail(f, panics{errBoom})
		}
		other := dial()
		echoes(t, other)
		require.NoError(t, errors.Join(c.Close(), other.Close()))
		time.Sleep(2 * time.Second) // now it waits for a second or so
		synctest.Wait()
		require.Empty(t, w.acceptors(l))
		began := time.Now()
		require.NoError(t, l.Shutdown(t.Context()))
		assert.Less(t, time.Since(began), 100*time.Millisecond, "the end does not wait for it")
		time.Sleep(time.Minute)
		for _, letter := range published[*actor.DeadLetterEvent](w) {
			assert.NotContains(t, letter.PID.Id, l.PID().Id)
		}
	})
}

// escalations is a supervisor strategy of the user's. It decides as told, and reports the failed
// actor.
type escalations struct {
	directive actor.Directive
	asked     chan *actor.PID
}

func (e *escalations) HandleFailure(_ *actor.ActorSystem, self actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) {
	switch e.directive {
	case actor.ResumeDirective:
		self.ResumeChildren(child)
	case actor.RestartDirective:
		self.RestartChildren(child)
	case actor.StopDirective:
		self.StopChildren(child)
	case actor.EscalateDirective:
	}
	e.asked <- child
}

// serving is an owner whose child is a listener over simnet.
type serving struct {
	listener net.Listener
	options  Options
	started  chan *Listener
}

func (s *serving) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Started); ok {
		l, err := Serve(ctx, s.listener, of(newEcho()), s.options)
		if err != nil {
			panic(err)
		}
		s.started <- l
	}
}

func TestAnAcceptorThatFailsTooOftenIsItsListenersOwnersToDecide(t *testing.T) {
	for name, directive := range map[string]actor.Directive{
		"resume": actor.ResumeDirective, "restart": actor.RestartDirective, "stop": actor.StopDirective,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				network := simnet.Listen(simnet.Options{})
				f := faultnet.NewListener(network)
				dial := func() net.Conn {
					c, err := network.Dial(t.Context())
					require.NoError(t, err)
					t.Cleanup(func() { _ = c.Close() })
					return c
				}
				e := &escalations{directive: directive, asked: make(chan *actor.PID, 10)}
				o := &serving{listener: f, options: Options{Connection: brisk}, started: make(chan *Listener, 1)}
				owner := w.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return o }, actor.WithSupervisor(e)))
				l := <-o.started
				defer func() { _ = l.Close() }()
				live := dial()
				echoes(t, live)
				const rounds = 3
				for round := range rounds {
					for range mostRestarts + 1 {
						fail(f, panics{errBoom})
					}
					c := dial()
					echoes(t, c)
					var asked *actor.PID
					select {
					case asked = <-e.asked:
					case <-time.After(time.Minute):
						require.Fail(t, "the owner is not asked")
					}
					assert.True(t, asked.Equal(l.PID()), "it is the listener that failed, as far as its owner knows")
					synctest.Wait()
					failed := published[*AcceptorFailed](w)
					require.Len(t, failed, (round+1)*(mostRestarts+1))
					assert.True(t, failed[len(failed)-1].Escalated)
					assert.Equal(t, mostRestarts+1, failed[len(failed)-1].Restarts)
					if directive == actor.StopDirective {
						break
					}
					echoes(t, live)
					echoes(t, c)
					served := dial()
					echoes(t, served)
					assert.True(t, l.Info().Accepting)
					info, err := w.Root.RequestFuture(l.PID(), &protocol.GetInfo{}, time.Second).Result()
					require.NoError(t, err, "its mailbox works")
					assert.Equal(t, l.Info(), *info.(*protocol.ListenerInfo))
				}
				if directive == actor.StopDirective {
					require.NoError(t, ends(live), "drained as always")
					_ = live.Close()
					<-l.Done()
				}
				w.Root.Stop(owner)
				<-l.Done()
				synctest.Wait()
				assert.Empty(t, w.actors())
				assert.Len(t, published[*Started](w), 1, "one listener, whatever was restarted")
				time.Sleep(5 * time.Second) // futures, throttles
				synctest.Wait()
			})
		})
	}
}

// At the root Proto.Actor decides: it restarts the listener's actor.
func TestAtTheRootAListenerWhoseAcceptorFailsTooOftenGoesOn(t *testing.T) {
	inABubble(t, Options{}, func(t *testing.T, w *world, l *Listener, f *faultnet.Listener, dial func() net.Conn) {
		live := dial()
		echoes(t, live)
		for range 10 * (mostRestarts + 1) {
			fail(f, panics{errBoom})
		}
		echoes(t, dial())
		time.Sleep(5 * time.Minute)
		echoes(t, live)
		echoes(t, dial())
		failed := published[*AcceptorFailed](w)
		assert.Len(t, failed, 10*(mostRestarts+1))
		escalated := 0
		for _, f := range failed {
			if f.Escalated {
				escalated++
			}
		}
		assert.Equal(t, 10, escalated)
		assert.EqualValues(t, 3, l.Info().Accepted)
	})
}

// A subscriber of the event stream is the user's code, and runs where the event comes up.
func TestASubscriberThatPanicsOrEndsItsGoroutineHarmsNothingElse(t *testing.T) {
	for name, harm := range map[string]func(){"panic": func() { panic("subscriber") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			inABubble(t, Options{MaxConnections: 1, WhenFull: Reject}, func(t *testing.T, w *world, l *Listener, f *faultnet.Listener, dial func() net.Conn) {
				w.EventStream.Subscribe(func(event any) {
					switch event.(type) {
					case *AcceptFailed, *AcceptorFailed, *Rejected, *DrainStarted, *Stopped:
						harm()
					}
				})
				live := dial()
				echoes(t, live)
				fail(f, errBoom, panics{errBoom})
				_ = ends(dial())
				_ = ends(dial())
				time.Sleep(time.Minute)
				echoes(t, live)
				assert.Len(t, published[*AcceptorFailed](w), 1)
				assert.EqualValues(t, 2, l.Info().Refused[protocol.RefusalFull])
			})
		})
	}
}

func TestRestartsAreCountedWithinTheirWindow(t *testing.T) {
	var r restarts
	now := time.Now()
	for i := range 5 {
		count, wait := r.next(now.Add(time.Duration(i) * time.Second))
		assert.Equal(t, i+1, count)
		jittered(t, i, wait)
	}
	count, wait := r.next(now.Add(restartWindow + time.Second))
	assert.Equal(t, 4, count, "the first two are past")
	jittered(t, 5, wait)
	r.forgive()
	count, wait = r.next(now.Add(restartWindow + 2*time.Second))
	assert.Equal(t, 1, count)
	jittered(t, 0, wait)
}

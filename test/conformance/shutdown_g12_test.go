package conformance

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// G12: when Shutdown or Close returns, no socket, actor, goroutine, timer or file descriptor of the
// server remains, at any moment. Past the deadline the rest is aborted and counted. In a bubble,
// synctest itself finds a goroutine that is left.

// actorsOf returns the processes of a listener that are still registered.
func (w *world) actorsOf(s *server) []string { return setup.ActorsBelow(w.system, s.PID()) }

// moments put a server into a state in which it is then shut down.
var moments = map[string]func(w *world, s *server){
	"fresh": func(*world, *server) {},
	"idle":  func(_ *world, s *server) { s.connect(); s.connect() },
	"accepting": func(w *world, s *server) {
		for range 20 {
			s.client()
		}
	},
	"stalled":     func(_ *world, s *server) { _, tape := s.connect(); tape.stall() },
	"paused":      func(_ *world, s *server) { p, tape := s.connect(); tape.socket.Pause(); p.send("unread") },
	"half closed": func(_ *world, s *server) { p, tape := s.connect(); p.closeWrite(); tape.await("peerclosed") },
	"flushing":    func(_ *world, s *server) { _, tape := s.connect(); tape.stall(); _ = tape.socket.Close() },
	"discarding":  func(_ *world, s *server) { p, tape := s.connect(); _ = tape.socket.Close(); p.rest() },
	"finished writing": func(_ *world, s *server) {
		p, tape := s.connect()
		tape.socket.CloseWrite()
		p.rest()
	},
	"ending":    func(_ *world, s *server) { p, _ := s.connect(); p.close() },
	"stopping":  func(w *world, s *server) { _, tape := s.connect(); w.system.Root.Stop(tape.socket.PID()) },
	"suspended": func(_ *world, s *server) { s.connect(); s.Suspend(); s.client() },
	"busy": func(w *world, s *server) {
		for range 5 {
			p, _ := s.connect()
			go func() {
				for {
					if _, err := p.Write([]byte("more")); err != nil {
						return
					}
					w.yield()
				}
			}()
		}
	},
}

// ends are the ways to shut a server down at once.
var ends = map[string]func(w *world, s *server){
	"close": func(w *world, s *server) { assert.NoError(w.t, s.Close()) },
	"shutdown": func(w *world, s *server) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_ = s.Shutdown(ctx)
	},
	"stop": func(w *world, s *server) { w.system.Root.Stop(s.PID()); _ = s.Close() },
	"message": func(w *world, s *server) {
		w.system.Root.Send(s.PID(), &protocol.Shutdown{Deadline: time.Now().Add(time.Millisecond)})
		<-s.Done()
	},
}

func TestNothingIsLeftWhateverTheMoment(t *testing.T) {
	for moment, bring := range moments {
		for end, shut := range ends {
			t.Run(moment+"/"+end, func(t *testing.T) {
				eachNetwork(t, func(t *testing.T, w *world) {
					files, before := setup.Descriptors(), goleak.IgnoreCurrent()
					o := roomy()
					o.KeepOpenOnPeerClosed, o.DrainQuiet = true, time.Millisecond
					s := w.serve(script{}, o)
					bring(w, s)
					s.finish(t, func() { shut(w, s) })
					assert.Empty(t, w.actorsOf(s))
					assert.Zero(t, s.Info().Open)
					for _, tape := range w.tapes {
						assert.Equal(t, 1, tape.count("closed"), "before the shutdown returned")
					}
					_, err := s.dial()
					assert.Error(t, err, "no socket listens")
					if w.network.virtual() {
						return
					}
					for _, c := range w.clients {
						_ = c.Close()
					}
					assert.NoError(t, goleak.Find(before))
					assert.LessOrEqual(t, setup.Descriptors(), files)
				})
			})
		}
	}
}

func TestAShutdownAfterItsDeadlineCountsWhatItAborted(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, roomy())
		for range 3 {
			_, tape := s.connect()
			tape.stall()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		defer cancel()
		err := s.Shutdown(ctx)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Contains(t, err.Error(), "3 connections aborted")
		for _, tape := range w.tapes {
			assert.Equal(t, protocol.ReasonShutdown, tape.ended().Reason)
		}
	})
}

func TestAShutdownWaitsForWhatIsQuietAndFlushesIt(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, script{}, only(connection.Options{DrainQuiet: 10 * time.Millisecond, WriteBufferSize: stallSize}))
		p, tape := s.connect()
		tape.stall()
		came := p.drain()
		s.finish(t, func() { assert.NoError(t, s.Shutdown(context.Background())) })
		assert.Equal(t, stallSize, came())
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonShutdown, closed.Reason)
		assert.Zero(t, closed.Stats.Unsent)
	})
}

func TestAHandlerThatDrainsDecidesItselfWhenToClose(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{draining: func(t *tape, deadline time.Time) error {
			assert.True(w.t, deadline.After(time.Now()))
			return t.say("finish please")
		}, data: func(t *tape, b *protocol.Buffer) error { _ = t.socket.Close(); return nil }},
			connection.Options{DrainQuiet: time.Millisecond})
		p, tape := s.connect()
		shut := make(chan error, 1)
		ctx, cancel := context.WithTimeout(context.Background(), w.patience())
		defer cancel()
		go func() { shut <- s.Shutdown(ctx) }()
		p.expect("finish please")
		assert.Equal(t, protocol.StateOpen, tape.socket.Info().State)
		p.send("done")
		assert.Empty(t, p.rest())
		p.close()
		assert.NoError(t, <-shut)
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason)
		assert.Equal(t, 1, tape.count("draining"))
	})
}

func TestACloseThatHurriesAShutdownEndsBoth(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{draining: func(*tape, time.Time) error { return nil }}, connection.Options{})
		_, tape := s.connect()
		shut := make(chan error, 1)
		go func() { shut <- s.Shutdown(context.Background()) }()
		tape.await("draining")
		var late error
		s.finish(t, func() { late = s.Close() })
		assert.ErrorIs(t, late, os.ErrDeadlineExceeded)
		assert.Equal(t, late, <-shut, "there is one end, and one answer")
		assert.Equal(t, late, s.Close(), "again")
	})
}

// underWay are the activities that a connection may have at the deadline of a drain.
var underWay = map[string]struct {
	before      bool // it is begun before the drain
	works       bool // the handler does not return, or writes do not go out
	begin       func(p *peer, t *tape)
	interrupted int
}{
	"nothing":          {false, false, func(*peer, *tape) {}, 0},
	"nothing any more": {true, false, func(p *peer, t *tape) { p.send("upload"); t.sees("upload") }, 0},
	"input":            {false, false, func(p *peer, t *tape) { p.send("upload"); t.sees("upload") }, 1},
	"output":           {false, false, func(p *peer, t *tape) { assert.NoError(p.w.t, t.say("text")); p.expect("text") }, 1},
	"writes that wait": {true, true, func(_ *peer, t *tape) { t.stall() }, 1},
	"a handler call": {true, true, func(p *peer, t *tape) {
		p.w.system.Root.Send(t.socket.PID(), "work")
		t.await("message")
	}, 1},
}

// overUnderWay runs a test with each activity, in a drain without a deadline. release lets a
// handler call return.
func overUnderWay(t *testing.T, each func(*testing.T, func(*testing.T, *world)),
	test func(t *testing.T, w *world, s *server, p *peer, interrupted int, release func()),
) {
	for says, work := range underWay {
		t.Run(says, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				released := make(chan struct{})
				s := w.listen(script{
					draining: func(*tape, time.Time) error { return nil },
					message:  func(*tape, actor.Context, any) error { <-released; return nil },
				}, listener.Options{
					ShutdownTimeout: -1,
					Connection:      connection.Options{DrainQuiet: time.Hour, WriteBufferSize: stallSize},
				})
				p, tape := s.connect()
				settle := func() {
					for !work.works && tape.socket.(*connection.Connection).Working() {
						w.yield() // the tape has seen a call, whose turn is not over
					}
					w.settle()
				}
				if work.before {
					work.begin(p, tape)
				}
				settle()
				shut := make(chan error, 1)
				go func() { shut <- s.Shutdown(context.Background()) }()
				if says != "a handler call" { // in which it does not come
					tape.await("draining")
				}
				s.eventually("the drain", func(i protocol.ListenerInfo) bool { return !i.Accepting })
				if !work.before {
					work.begin(p, tape)
				}
				settle()
				test(t, w, s, p, work.interrupted, sync.OnceFunc(func() { close(released) }))
				<-shut //nolint:errcheck // the test has its answers
			})
		})
	}
}

func TestADrainCountsTheConnectionsThatItClosesWithWorkUnderWay(t *testing.T) {
	overUnderWay(t, inBubble, func(t *testing.T, w *world, s *server, p *peer, interrupted int, release func()) {
		var stopped []*listener.Stopped
		w.system.EventStream.Subscribe(func(event any) {
			if e, ok := event.(*listener.Stopped); ok {
				stopped = append(stopped, e)
			}
		})
		// The time for an orderly close begins 1 s before the deadline.
		time.AfterFunc(29*time.Second+time.Millisecond, func() {
			release()
			_, _ = p.all()
			_ = p.Close()
		})
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		err := s.Shutdown(ctx)
		if interrupted == 0 {
			assert.NoError(t, err)
		} else {
			assert.Equal(t, &listener.ShutdownError{Interrupted: interrupted}, err)
			assert.EqualError(t, err, "berth: shutdown deadline passed, 0 connections aborted, 1 interrupted with work under way")
		}
		assert.Equal(t, []*listener.Stopped{{Addr: s.Addr(), Interrupted: interrupted}}, stopped)
	})
}

func TestADrainThatIsCutOffCountsTheConnectionsWithWorkUnderWay(t *testing.T) {
	overUnderWay(t, eachNetwork, func(t *testing.T, w *world, s *server, p *peer, interrupted int, release func()) {
		go func() {
			_, _ = p.Read(make([]byte, 1)) // the abort, unless the peer was sent more than it reads
			release()
		}()
		var late *listener.ShutdownError
		require.ErrorAs(t, s.Close(), &late)
		assert.Equal(t, listener.ShutdownError{Interrupted: interrupted, Aborted: 1}, *late)
	})
}

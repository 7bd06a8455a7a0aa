package conformance

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// G4: each accepted write that asked for it completes exactly once, with success once all its bytes
// went to the kernel, or with the error that ended the connection; always before Closed.
// Completions are handler calls: the tape checks that none overlaps, none comes after Closed, none
// is missing and none comes twice.

func TestAWriteCompletesOnceItsBytesWent(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, roomy()).connect()
		tape.stall()
		require.NoError(t, tape.write("after", "x"))
		p.take(1000)
		w.settle()
		assert.Equal(t, []string{"accepted"}, tape.kinds(), "too early")
		p.take(stallSize + 1 - 1000)
		assert.NoError(t, tape.await("after").err)
		assert.NoError(t, tape.await("stall").err)
		assert.Equal(t, []string{"accepted", "stall", "after"}, tape.kinds())
	})
}

func TestACompletionNeverRunsInsideTheCallThatQueuedIt(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{data: func(t *tape, b *protocol.Buffer) error {
			b.Discard(b.Len())
			for range 50 {
				_ = t.write("written", "x")
			}
			w.settle()
			assert.Zero(w.t, t.count("written"), "a completion ran during the handler call")
			return nil
		}}, only(connection.Options{})).connect()
		p.send("go")
		tape.nth(50, "written")
	})
}

func TestACompletionMayWriteAgain(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{WriteQueueSize: 1}).connect()
		var again func(error)
		left := 100
		again = func(error) {
			if left--; left > 0 {
				assert.NoError(t, tape.socket.WriteOwned([]byte("x"), again), "the room of the write that completed")
				tape.book(1)
			} else {
				tape.done("finished")(nil)
			}
		}
		require.NoError(t, tape.socket.WriteOwned([]byte("x"), again))
		tape.book(1)
		p.take(100)
		tape.await("finished")
	})
}

func TestCompletionsGetTheErrorThatEndedTheConnection(t *testing.T) {
	for name, end := range map[string]struct {
		by   func(w *world, s *server, p *peer, t *tape)
		want error
	}{
		"abort":     {func(_ *world, _ *server, _ *peer, t *tape) { t.socket.Abort() }, protocol.ErrAborted},
		"stop":      {func(w *world, _ *server, _ *peer, t *tape) { w.system.Root.Stop(t.socket.PID()) }, protocol.ErrStopped},
		"poison":    {func(w *world, _ *server, _ *peer, t *tape) { w.system.Root.Poison(t.socket.PID()) }, protocol.ErrStopped},
		"shutdown":  {func(_ *world, s *server, _ *peer, _ *tape) { _ = s.Close() }, protocol.ErrShutdown},
		"peer gone": {func(_ *world, _ *server, p *peer, _ *tape) { p.take(1); p.close() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				s := w.serve(script{}, roomy())
				p, tape := s.connect()
				tape.stall()
				for range 10 {
					require.NoError(t, tape.write("queued", "x"))
				}
				end.by(w, s, p, tape)
				closed := tape.ended()
				assert.Equal(t, 10, tape.count("queued"))
				for _, e := range tape.events[1 : len(tape.events)-1] {
					assert.Error(t, e.err, e.what)
					assert.ErrorIs(t, e.err, closed.Err, e.what)
					if end.want != nil {
						assert.ErrorIs(t, e.err, end.want, e.what)
					}
				}
			})
		})
	}
}

func TestAPanicInACompletionEndsTheConnectionAndLosesNoOther(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			b.Discard(b.Len())
			_ = t.write("first", "x")
			err := t.socket.WriteOwned([]byte("x"), func(error) { panic("broken") })
			t.book(1)
			_ = t.write("last", "x")
			return err
		}}, connection.Options{})
		p, tape := s.connect()
		p.send("go")
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonHandlerPanic, tape.ended().Reason)
	})
}

func TestAGoexitInACompletionEndsTheConnectionAndLosesNoOther(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			b.Discard(b.Len())
			_ = t.write("first", "x")
			err := t.socket.WriteOwned([]byte("x"), func(error) { runtime.Goexit() })
			t.book(1)
			_ = t.write("last", "x")
			return err
		}}, connection.Options{})
		p, tape := s.connect()
		p.send("go")
		_, _ = p.all()
		assert.Equal(t, protocol.ReasonHandlerPanic, tape.ended().Reason)
	})
}

func TestAGoexitInACompletionAtTheEndLosesNothing(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, roomy())
		_, tape := s.connect()
		tape.stall()
		require.NoError(t, tape.socket.WriteOwned([]byte("x"), func(error) { runtime.Goexit() }))
		tape.book(1)
		require.NoError(t, tape.write("last", "x"))
		tape.socket.Abort()
		assert.Equal(t, protocol.ReasonLocalAborted, tape.ended().Reason)
		require.NoError(t, s.Close())
		assert.False(t, w.registered(tape.socket.PID()))
	})
}

func TestEveryCommandThroughTheHandleCompletes(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{}, only(connection.Options{})).connect()
		tape.socket.Do(&protocol.Pause{}, tape.done("paused"))
		tape.socket.Do(&protocol.Resume{}, tape.done("resumed"))
		tape.socket.Do(&protocol.Write{Data: []byte("hello")}, tape.done("written"))
		tape.book(5)
		p.expect("hello")
		tape.await("written")
		tape.socket.Do(&protocol.CloseWrite{}, tape.done("finished"))
		assert.NoError(t, tape.await("finished").err)
		assert.Empty(t, p.rest())
		tape.socket.Do(&protocol.Close{}, tape.done("closing"))
		tape.left(protocol.StateOpen) // a look for input that began before the command might see the peer's end first
		p.close()
		tape.ended()
		assert.Equal(t, []string{"accepted", "paused", "resumed", "written", "finished", "closing", "closed"}, tape.kinds())
	})
}

func TestAnAbortCompletesBeforeClosed(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{}).connect()
		tape.socket.Do(&protocol.Abort{}, tape.done("aborted"))
		tape.ended()
		assert.Equal(t, []string{"accepted", "aborted", "closed"}, tape.kinds())
	})
}

func TestACommandIsDoneInsideNoCallOfItsOwn(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			b.Discard(b.Len())
			for _, command := range []protocol.Command{&protocol.Pause{}, &protocol.Resume{}, &protocol.Write{}, &protocol.Write{Data: make([]byte, 1<<20)}} {
				t.socket.Do(command, t.done("done"))
			}
			assert.Zero(w.t, t.count("done"))
			return nil
		}}, connection.Options{}).connect()
		p.send("go")
		tape.nth(4, "done")
		assert.ErrorIs(t, tape.nth(3, "done").err, protocol.ErrWriteTooLarge) // the empty one completes through the writer
	})
}

func TestEveryCommandByPIDIsAcknowledged(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{}, only(connection.Options{})).connect()
		a, pid := w.asker(), tape.socket.PID()
		assert.Equal(t, &protocol.Done{Ack: 1}, a.ask(pid, &protocol.Pause{Ack: 1}))
		assert.Equal(t, &protocol.Done{Ack: 2}, a.ask(pid, &protocol.Resume{Ack: 2}))
		assert.Equal(t, &protocol.Done{Ack: "u"}, a.ask(pid, &protocol.Detach{Ack: "u"}))
		assert.Equal(t, &protocol.Written{Ack: "w"}, a.ask(pid, &protocol.Write{Data: []byte("hello"), Ack: "w"}))
		tape.book(5)
		p.expect("hello")
		assert.Equal(t, &protocol.Done{Ack: 3}, a.ask(pid, &protocol.CloseWrite{Ack: 3}))
		assert.Equal(t, &protocol.WriteFailed{Ack: 4, Err: protocol.ErrClosed}, a.ask(pid, &protocol.Write{Data: []byte("late"), Ack: 4}))
		p.rest()
		a.send(pid, &protocol.Close{Ack: 5})
		p.close()
		assert.Equal(t, &protocol.Done{Ack: 5}, a.answer())
		tape.ended()
	})
}

func TestAnAbortByPIDIsAcknowledged(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, roomy()).connect()
		tape.stall()
		a := w.asker()
		a.send(tape.socket.PID(), &protocol.Write{Data: []byte("queued"), Ack: "w"})
		tape.book(6)
		a.send(tape.socket.PID(), &protocol.Abort{Ack: "a"})
		assert.Equal(t, &protocol.WriteFailed{Ack: "w", Err: protocol.ErrAborted}, a.answer())
		assert.Equal(t, &protocol.Done{Ack: "a"}, a.answer())
	})
}

func TestAWriteWithoutAckIsNotAnswered(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		a := w.asker()
		a.send(tape.socket.PID(), &protocol.Write{Data: []byte("silent")})
		tape.book(6)
		p.expect("silent")
		info, ok := a.ask(tape.socket.PID(), &protocol.GetInfo{}).(*protocol.Info)
		require.True(t, ok, "the first answer is to GetInfo")
		assert.Equal(t, protocol.StateOpen, info.State)
		assert.Equal(t, tape.socket.RemoteAddr().String(), info.RemoteAddr)
	})
}

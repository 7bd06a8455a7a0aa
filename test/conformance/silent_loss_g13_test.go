package conformance

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// G13: a write to an ended connection is answered with an error or dead-lettered.

// finished returns the tape of a connection that has ended and has no actor any more.
func (w *world) finished() *tape {
	w.t.Helper()
	s := w.serve(script{}, connection.Options{})
	p, tape := s.connect()
	p.close()
	tape.ended()
	require.NoError(w.t, s.Close())
	require.False(w.t, w.registered(tape.socket.PID()))
	return tape
}

func TestEveryWriteToAnEndedConnectionIsRefused(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		socket := w.finished().socket
		never := func(error) { assert.Fail(t, "a refused write completed") }
		_, err := socket.Write([]byte("late"))
		assert.ErrorIs(t, err, protocol.ErrClosed)
		assert.ErrorIs(t, err, net.ErrClosed)
		assert.ErrorIs(t, socket.WriteOwned([]byte("late"), never), protocol.ErrClosed)
		assert.ErrorIs(t, socket.WriteBuffers([][]byte{[]byte("late")}, never), protocol.ErrClosed)
		assert.ErrorIs(t, socket.WriteFile(w.file("late"), 0, 4, never), protocol.ErrClosed)
		_, err = socket.Forward(protocol.NewBuffer([]byte("late")))
		assert.ErrorIs(t, err, protocol.ErrClosed)
		assert.Equal(t, protocol.StateClosed, socket.Info().State)
	})
}

func TestEveryCommandToAnEndedConnectionIsAnswered(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		socket := w.finished().socket
		for command, want := range map[protocol.Command]error{
			&protocol.Write{}: protocol.ErrClosed, &protocol.Pause{}: protocol.ErrClosed, &protocol.Resume{}: protocol.ErrClosed,
			&protocol.Link{}: protocol.ErrClosed, &protocol.Unlink{}: protocol.ErrClosed,
			&protocol.Become{Handler: tcpactor.HandlerFunc(nil)}: protocol.ErrClosed,
			&protocol.CloseWrite{}:                               protocol.ErrClosed, &protocol.Close{}: nil, &protocol.Abort{}: nil,
		} {
			answer := make(chan error, 1)
			socket.Do(command, func(err error) { answer <- err })
			assert.Equal(t, want, <-answer, "%T", command)
		}
	})
}

func TestAWriteByPIDToAnEndedConnectionIsDeadLettered(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		pid := w.finished().socket.PID()
		late := &protocol.Write{Data: []byte("late")}
		w.system.Root.Send(pid, late)
		assert.Equal(t, []any{late}, w.deadLetters(pid))
		a := w.asker()
		answer := a.ask(pid, late)
		assert.IsType(t, &actor.DeadLetterResponse{}, answer, "the sender is told as well")
	})
}

func TestAWriteByPIDToAClosingConnectionIsAnswered(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{}).connect()
		_ = tape.socket.Close() // and the peer sends no FIN
		a := w.asker()
		assert.Equal(t, &protocol.WriteFailed{Ack: 1, Err: protocol.ErrClosed}, a.ask(tape.socket.PID(), &protocol.Write{Data: []byte("x"), Ack: 1}))
		late := &protocol.Write{Data: []byte("not asked for")}
		w.system.Root.Send(tape.socket.PID(), late)
		tape.socket.Do(&protocol.Pause{}, tape.done("paused"))
		tape.await("paused")
		assert.Equal(t, []any{late}, w.deadLetters(tape.socket.PID()))
	})
}

func TestAMessageForAnEndedConnectionIsDeadLettered(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		pid := w.finished().socket.PID()
		w.system.Root.Send(pid, "hello")
		assert.Equal(t, []any{"hello"}, w.deadLetters(pid))
	})
}

// While Closed is handled, the connection has ended and its PID is still there.
func TestMessagesDuringClosedAreDeadLettered(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		a := w.asker()
		s := w.serve(script{closed: func(tape *tape) {
			assert.True(t, w.registered(tape.socket.PID()))
			a.send(tape.socket.PID(), "late")
		}}, connection.Options{})
		p, tape := s.connect()
		p.close()
		tape.ended()
		assert.IsType(t, &actor.DeadLetterResponse{}, a.answer(), "the sender is told")
		require.NoError(t, s.Close())
		assert.Zero(t, tape.count("message"))
		assert.Equal(t, []any{"late"}, w.deadLetters(tape.socket.PID()))
	})
}

func TestAMessageThatNoHandlerTakesIsDeadLettered(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.open(functionsForm, script{}, only(connection.Options{}))
		_, tape := s.connect()
		w.system.Root.Send(tape.socket.PID(), "hello")
		tape.socket.Do(&protocol.Pause{}, tape.done("paused"))
		tape.await("paused")
		assert.Equal(t, []any{"hello"}, w.deadLetters(tape.socket.PID()))
	})
}

func TestMailBehindAStopIsNotLost(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		entered, release := make(chan struct{}), make(chan struct{})
		s := w.serve(script{data: func(_ *tape, b *protocol.Buffer) error {
			b.Discard(b.Len())
			close(entered)
			<-release
			return nil
		}}, connection.Options{})
		p, tape := s.connect()
		p.send("x")
		<-entered
		a, pid := w.asker(), tape.socket.PID()
		w.system.Root.Send(pid, "message")
		a.send(pid, &protocol.Write{Data: []byte("x"), Ack: "w"})
		w.system.Root.Stop(pid)
		close(release)
		tape.ended()
		assert.Equal(t, &protocol.WriteFailed{Ack: "w", Err: protocol.ErrClosed}, a.answer())
		require.NoError(t, s.Close())
		assert.Equal(t, 1, tape.count("message")+len(w.deadLetters(pid)))
	})
}

func TestEveryWriteThatRacesWithTheEndIsAnsweredOnce(t *testing.T) {
	ends := []func(w *world, p *peer, t *tape){
		func(_ *world, _ *peer, t *tape) { _ = t.socket.Close() },
		func(_ *world, _ *peer, t *tape) { t.socket.Abort() },
		func(_ *world, p *peer, _ *tape) { _ = p.Close() },
		func(w *world, _ *peer, t *tape) { w.system.Root.Stop(t.socket.PID()) },
		func(w *world, _ *peer, t *tape) { w.system.Root.Poison(t.socket.PID()) },
	}
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, connection.Options{WriteQueueSize: 4})
		for round := range 2 * len(ends) {
			p, tape := s.connect()
			tape.unbooked = true
			a := w.asker()
			const writers, each = 3, 30
			var all sync.WaitGroup
			for id := range writers {
				all.Go(func() {
					for n := range each {
						a.send(tape.socket.PID(), &protocol.Write{Data: []byte("x"), Ack: fmt.Sprint(id, n)})
						_ = tape.write("handle", "y")
					}
				})
			}
			all.Go(func() { ends[round%len(ends)](w, p, tape) })
			all.Wait()
			answers := map[any]int{}
			for range writers * each {
				switch m := a.answer().(type) {
				case *protocol.Written:
					answers[m.Ack]++
				case *protocol.WriteFailed:
					answers[m.Ack]++
				case *actor.DeadLetterResponse:
				default:
					assert.Fail(t, "unexpected", "%T", m)
				}
			}
			for ack, times := range answers {
				assert.Equal(t, 1, times, "%v", ack)
			}
			_ = p.Conn.Close()
			tape.ended()
		}
	})
}

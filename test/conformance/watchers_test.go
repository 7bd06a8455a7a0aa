package conformance

import (
	"io"
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

// An actor that watches a connection sees its end after the replies to its own commands.

// busy is an actor that is held up in one message until all other messages are in its mailbox. It
// records them.
type busy struct {
	w    *world
	pid  *actor.PID
	hold chan struct{}
	got  chan any
}

func (w *world) busy(options ...actor.PropsOption) *busy {
	b := &busy{w: w, hold: make(chan struct{}), got: make(chan any, 4096)}
	b.pid = w.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case func(actor.Context):
			m(ctx)
		case *actor.Terminated:
			b.got <- m
		case actor.SystemMessage, actor.AutoReceiveMessage:
		default:
			b.got <- m
		}
	}, options...))
	w.t.Cleanup(func() { _ = w.system.Root.StopFuture(b.pid).Wait() })
	return b
}

// do runs f in the actor and waits for it.
func (b *busy) do(f func(ctx actor.Context)) {
	done := make(chan struct{})
	b.w.system.Root.Send(b.pid, func(ctx actor.Context) { f(ctx); close(done) })
	<-done
}

// next waits for the next message.
func (b *busy) next() any {
	b.w.t.Helper()
	select {
	case m := <-b.got:
		return m
	case <-time.After(b.w.patience()):
		require.Fail(b.w.t, "nothing came")
		return nil
	}
}

// nameOf names a reply by its Ack.
func nameOf(message any) any {
	switch m := message.(type) {
	case *protocol.Done:
		return m.Ack
	case *protocol.Written:
		return m.Ack
	case *protocol.WriteFailed:
		return m.Ack
	case *actor.Terminated:
		return "terminated"
	}
	return message
}

func TestEveryReplyComesBeforeTerminated(t *testing.T) {
	for name, commands := range map[string][]any{
		"Close":                       {&protocol.Close{Ack: 1}},
		"Write and Close":             {&protocol.Write{Data: []byte("x"), Ack: 1}, &protocol.Close{Ack: 2}, &protocol.Close{Ack: 3}},
		"CloseWrite and Close":        {&protocol.CloseWrite{Ack: 1}, &protocol.Close{Ack: 2}},
		"Abort":                       {&protocol.Pause{Ack: 1}, &protocol.Abort{Ack: 2}},
		"a Write that fails":          {&protocol.Write{Data: make([]byte, stallSize), Ack: 1}, &protocol.Abort{Ack: 2}},
		"a Write without an Ack":      {&protocol.Write{Data: make([]byte, stallSize)}, &protocol.Abort{}},
		"a Stop from outside":         {&protocol.Write{Data: []byte("x"), Ack: 1}, &protocol.CloseWrite{Ack: 2}, stop},
		"a Close and a PoisonPill":    {&protocol.Close{Ack: 1}, &actor.PoisonPill{}},
		"commands that are not asked": {&protocol.Close{}},
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				entered, release := make(chan struct{}), make(chan struct{})
				p, tape := w.serve(script{data: func(*tape, *protocol.Buffer) error {
					close(entered)
					<-release // until all commands are there: none may be sent after the end
					return nil
				}}, roomy()).connect()
				tape.unbooked = true
				pid, b := tape.socket.PID(), w.busy()
				p.send("x")
				<-entered
				go func() { // it ends when the socket does
					_, _ = io.Copy(io.Discard, p.Conn)
					_ = p.Conn.Close()
				}()
				b.sends(pid, commands)
				close(release)
				tape.ended()
				w.gone(pid)
				close(b.hold)
				var got []any
				for len(got) == 0 || got[len(got)-1] != "terminated" {
					got = append(got, nameOf(b.next()))
				}
				w.settle()
				assert.Empty(t, b.got, "nothing comes after it")
				for _, command := range commands {
					if ack := ackOf(command); ack != nil {
						assert.Contains(t, got, ack)
					}
				}
			})
		})
	}
}

// stop among commands is a Stop of the connection's actor.
const stop = "stop"

// sends makes the actor watch pid, send it the commands, and then wait for hold, all in one
// message: mail that comes meanwhile waits in its mailbox.
func (b *busy) sends(pid *actor.PID, commands []any) {
	in := make(chan struct{})
	b.w.system.Root.Send(b.pid, func(ctx actor.Context) {
		ctx.Watch(pid)
		ctx.Watch(pid) // once more: it is still one
		for _, command := range commands {
			if command == stop {
				ctx.Stop(pid)
			} else {
				ctx.Request(pid, command)
			}
		}
		close(in)
		<-b.hold
	})
	<-in
}

// gone waits until an actor is no longer registered, and has finished its work after that.
func (w *world) gone(pid *actor.PID) {
	for w.registered(pid) {
		time.Sleep(time.Millisecond)
	}
	w.settle()
}

func ackOf(command any) any {
	switch m := command.(type) {
	case *protocol.Write:
		return m.Ack
	case *protocol.Close:
		return m.Ack
	case *protocol.CloseWrite:
		return m.Ack
	case *protocol.Abort:
		return m.Ack
	case *protocol.Pause:
		return m.Ack
	case *protocol.Resume:
		return m.Ack
	}
	return nil
}

// Commands in the connection's mailbox when it ends are answered before its end, too.
func TestCommandsThatTheEndOvertookAreAnsweredBeforeTerminated(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		_, tape := w.serve(script{closed: func(*tape) { <-release }}, connection.Options{}).connect()
		pid, b := tape.socket.PID(), w.busy()
		tape.socket.Abort()
		tape.ended()
		b.sends(pid, []any{&protocol.Write{Data: []byte("x"), Ack: 1}, &protocol.CloseWrite{Ack: 2}, &protocol.Close{Ack: 3}})
		close(release)
		w.gone(pid)
		close(b.hold)
		for _, want := range []any{1, 2, 3, "terminated"} {
			assert.Equal(t, want, nameOf(b.next()))
		}
	})
}

func TestAWatchEndsWithAnUnwatch(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{}).connect()
		pid, left, stays := tape.socket.PID(), w.busy(), w.busy()
		left.do(func(ctx actor.Context) { ctx.Unwatch(pid); ctx.Watch(pid) })
		stays.do(func(ctx actor.Context) { ctx.Watch(pid) })
		left.do(func(ctx actor.Context) { ctx.Unwatch(pid) })
		tape.socket.Abort()
		assert.Equal(t, pid, stays.next().(*actor.Terminated).Who)
		w.settle()
		assert.Empty(t, left.got)
	})
}

func TestAWatchOfAnEndedConnectionIsAnswered(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{}).connect()
		pid, b := tape.socket.PID(), w.busy()
		w.system.Root.Stop(pid)
		tape.ended()
		w.gone(pid)
		b.do(func(ctx actor.Context) { ctx.Watch(pid) })
		assert.Equal(t, pid.Id, b.next().(*actor.Terminated).Who.Id)
	})
}

// A Watch that comes while the connection stops is answered at its end, not before.
func TestAWatchOfAStoppingConnectionIsAnsweredAtItsEnd(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		_, tape := w.serve(script{closed: func(*tape) { <-release }}, connection.Options{}).connect()
		pid, b := tape.socket.PID(), w.busy()
		w.system.Root.Stop(pid)
		tape.ended()
		b.do(func(ctx actor.Context) { ctx.Watch(pid) })
		w.settle()
		assert.Empty(t, b.got)
		close(release)
		assert.Equal(t, "terminated", nameOf(b.next()))
	})
}

// processes that are no actors get the system message as usual: a future, and one of the test's
// own.
type recorder struct{ got chan any }

func (r recorder) SendUserMessage(_ *actor.PID, m any)   { r.got <- [2]any{"user", m} }
func (r recorder) SendSystemMessage(_ *actor.PID, m any) { r.got <- [2]any{"system", m} }
func (r recorder) Stop(*actor.PID)                       {}

func TestAWatcherThatIsNoActorGetsTheSystemMessage(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, connection.Options{})
		_, tape := s.connect()
		pid, r := tape.socket.PID(), recorder{make(chan any, 8)}
		own, ok := w.system.ProcessRegistry.Add(r, "recorder"+w.system.ProcessRegistry.NextId())
		require.True(t, ok)
		defer w.system.ProcessRegistry.Remove(own)
		process, _ := w.system.ProcessRegistry.GetLocal(pid.Id)
		process.SendSystemMessage(pid, &actor.Watch{Watcher: own})
		process.SendSystemMessage(pid, &actor.Watch{}) // of no watcher: nothing happens
		require.NoError(t, w.system.Root.StopFuture(pid).Wait())
		got := (<-r.got).([2]any)
		assert.Equal(t, "system", got[0])
		assert.Equal(t, pid, got[1].(*actor.Terminated).Who)
		tape.ended()
	})
}

// A watcher may be a connection, or the actor that owns the listener.
func TestAConnectionAndAnOwnerThatWatchAreTold(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		heard := make(chan *actor.Terminated, 8)
		s := &server{w: w, accepted: make(chan *tape, 8)}
		s.start(tcpactor.Actors(func() actor.Actor { return &watchful{nativeActor{player{s: s}}, heard} }), listener.Options{})
		_, watcher := s.connect()
		_, watched := s.connect()
		pid, a := watched.socket.PID(), w.asker()
		require.Equal(t, "watching", a.ask(watcher.socket.PID(), pid))
		watched.socket.Abort()
		assert.Equal(t, pid, (<-heard).Who)
		w.settle()
		assert.Empty(t, heard)
		assert.Equal(t, protocol.StateOpen, watcher.socket.Info().State)
	})
}

// watchful watches the actors that it is told of.
type watchful struct {
	nativeActor
	heard chan *actor.Terminated
}

func (a *watchful) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.PID:
		ctx.Watch(m)
		ctx.Respond("watching")
	case *actor.Terminated:
		a.heard <- m
	default:
		a.nativeActor.Receive(ctx)
	}
}

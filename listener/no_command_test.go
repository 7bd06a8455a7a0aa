package listener

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

// A nil where a command is expected is a mistake of the caller's. It ends nothing.

// noCommands are all that a command cannot be.
func noCommands() []protocol.Command {
	return []protocol.Command{
		nil, (*protocol.Write)(nil), (*protocol.Pause)(nil), (*protocol.Resume)(nil), (*protocol.Close)(nil), (*protocol.CloseWrite)(nil),
		(*protocol.Abort)(nil), (*protocol.Detach)(nil), (*protocol.Link)(nil), (*protocol.Unlink)(nil), struct{ protocol.Command }{},
	}
}

func TestADoWithoutACommandIsAnErrorAndTheConnectionLivesOn(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		e := newEcho()
		client := dial(t, newWorld().listen(t, of(e), o))
		socket := receive(t, e.accepted)
		for _, live := range []bool{true, false} {
			answers := make(chan error, 100)
			for _, command := range noCommands() {
				socket.Do(command, func(err error) { answers <- err })
				require.EqualError(t, receive(t, answers), "berth: no command to carry out", "%T", command)
				socket.Do(command, nil)
			}
			if live {
				echoes(t, client)
				socket.Abort()
				receive(t, e.closed)
			}
			assert.Empty(t, answers, "each answer comes once")
		}
	})
}

func TestANilByPIDEndsNoConnectionAndNoListener(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		e := newEcho()
		l := w.listen(t, of(e), o)
		client := dial(t, l)
		socket := receive(t, e.accepted)
		sender := w.NewLocalPID("none")
		messages := []any{
			nil, (*protocol.GetInfo)(nil), (*protocol.SuspendAccepting)(nil), (*protocol.ResumeAccepting)(nil), (*protocol.Shutdown)(nil),
		}
		for _, command := range noCommands() {
			messages = append(messages, command)
		}
		for _, message := range messages {
			for _, pid := range []*actor.PID{socket.PID(), l.PID()} {
				w.Root.Send(pid, message)
				w.Root.RequestWithCustomSender(pid, message, sender)
			}
		}
		for _, id := range w.actors() { // acceptors and writers too
			w.Root.Send(w.NewLocalPID(id), nil)
		}
		echoes(t, client)
		info, err := w.Root.RequestFuture(l.PID(), &protocol.GetInfo{}, patience).Result()
		require.NoError(t, err)
		assert.True(t, info.(*protocol.ListenerInfo).Accepting)
		assert.Equal(t, 1, info.(*protocol.ListenerInfo).Open)
		assert.Empty(t, published[*actor.SupervisorEvent](w))
		echoes(t, dial(t, l))
		require.NoError(t, l.Close())
		assert.Less(t, l.Info().Open, 1)
	})
}

func TestANilToADialerEndsNothing(t *testing.T) {
	w := newWorld()
	l := w.listen(t, of(newEcho()), Options{})
	d, err := NewDialer(w.Root, Options{})
	require.NoError(t, err)
	e := newEcho()
	_, err = d.Dial(t.Context(), l.Addr().String(), of(e), DialOptions{})
	require.NoError(t, err)
	w.Root.Send(d.PID(), nil)
	w.Root.Send(d.PID(), (*protocol.Shutdown)(nil))
	info, err := w.Root.RequestFuture(d.PID(), &protocol.GetInfo{}, patience).Result()
	require.NoError(t, err)
	assert.Equal(t, 1, info.(*protocol.ListenerInfo).Open)
	assert.Empty(t, published[*actor.SupervisorEvent](w))
	require.NoError(t, d.Close())
}

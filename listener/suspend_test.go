package listener

import (
	"io"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

func TestASuspendedListenerLeavesClientsInTheBacklogAndServesTheOthers(t *testing.T) {
	byHandle := [2]func(*world, *Listener){
		func(_ *world, l *Listener) { l.Suspend() },
		func(_ *world, l *Listener) { _ = l.Resume() },
	}
	byMessage := [2]func(*world, *Listener){
		func(w *world, l *Listener) { w.Root.Send(l.PID(), &protocol.SuspendAccepting{}) },
		func(w *world, l *Listener) { w.Root.Send(l.PID(), &protocol.ResumeAccepting{}) },
	}
	overEach(t, func(t *testing.T, o Options) {
		for _, by := range [][2]func(*world, *Listener){byHandle, byMessage} {
			suspend, resume := by[0], by[1]
			w := newWorld()
			l := w.listen(t, of(newEcho()), o)
			live := dial(t, l)
			echoes(t, live)
			for range 2 {
				suspend(w, l)
				suspend(w, l)
				eventually(t, func() bool { return !l.Info().Accepting })
				open := l.Info().Open
				waiting := dial(t, l)
				_, err := waiting.Write([]byte("hello"))
				require.NoError(t, err)
				for range 20 {
					echoes(t, live)
				}
				assert.Equal(t, open, l.Info().Open)
				resume(w, l)
				resume(w, l)
				p := make([]byte, 5)
				_, err = io.ReadFull(waiting, p)
				require.NoError(t, err)
				assert.True(t, l.Info().Accepting)
			}
			assert.Empty(t, published[*AcceptFailed](w), "a suspension is no failure")
			assert.Zero(t, l.Info().AcceptErrors)
		}
	})
}

func TestASuspendedListenerCanBeShutDown(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		l := w.listen(t, of(newEcho()), o)
		l.Suspend()
		require.NoError(t, l.Shutdown(within(t, patience)))
		l.Suspend()
		assert.False(t, l.Info().Accepting)
	})
}

func TestAListenerThatHasEndedCannotBeSuspendedOrResumed(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		l := w.listen(t, of(newEcho()), o)
		require.NoError(t, l.Close())
		assert.Equal(t, ErrClosed, l.Resume())
		assert.Equal(t, ErrClosed, l.SuspendRefusing())
		assert.Equal(t, ErrClosed, l.SetOptions(o))
		assert.Equal(t, ErrClosed, l.SetHandler(of(newEcho())))
		l.Suspend()
		assert.Empty(t, published[*AcceptFailed](w))
	})
}

func TestACommandDuringTheEndIsAnswered(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Connection = connection.Options{DrainQuiet: -1}
		l := w.listen(t, of(newEcho()), o)
		c := dial(t, l)
		echoes(t, c)
		result := make(chan error, 1)
		go func() { result <- l.Shutdown(within(t, patience)) }()
		eventually(t, func() bool { return len(published[*DrainStarted](w)) > 0 })
		var answers []*actor.Future
		for i := range 20 {
			for _, command := range []any{
				&protocol.SuspendAccepting{Ack: i}, &protocol.SuspendAccepting{Ack: i, Refuse: true}, &protocol.ResumeAccepting{Ack: i},
			} {
				answers = append(answers, w.Root.RequestFuture(l.PID(), command, patience))
			}
		}
		w.Root.Send(l.PID(), &protocol.ResumeAccepting{})
		require.NoError(t, c.Close())
		for i, answer := range answers {
			done, err := answer.Result()
			require.NoError(t, err)
			assert.Equal(t, &protocol.Done{Ack: i / 3, Err: ErrClosed}, done)
		}
		require.NoError(t, receive(t, result))
		assert.Empty(t, published[*AcceptFailed](w))
	})
}

func TestAFullAndSuspendedListenerGoesOnAfterBoth(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MaxConnections = 1
		l := w.listen(t, of(newEcho()), o)
		first := dial(t, l)
		echoes(t, first)
		l.Suspend()
		second := dial(t, l)
		require.NoError(t, first.Close())
		eventually(t, func() bool { return l.Info().Open == 0 })
		assert.EqualValues(t, 1, l.Info().Accepted)
		require.NoError(t, l.Resume())
		echoes(t, second)
	})
}

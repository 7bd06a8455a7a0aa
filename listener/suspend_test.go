package listener

import (
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
		require.NoError(t, l.Resume())
		l.Suspend()
		assert.False(t, l.Info().Accepting)
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

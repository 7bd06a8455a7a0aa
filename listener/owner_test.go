package listener

import (
	"io"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

// finisher answers Draining with a last word and Close.
type finisher struct {
	*echo
	told chan time.Time
}

func (h *finisher) Draining(s protocol.Socket, deadline time.Time) error {
	h.told <- deadline
	if _, err := s.Write([]byte("bye")); err != nil {
		return err
	}
	return s.Close()
}

func newFinisher() *finisher { return &finisher{newEcho(), make(chan time.Time, 1000)} }

// drains requires that the listener ends by a drain in which its one connection gets to finish.
func (h *finisher) drains(t *testing.T, l *Listener, client io.Reader) {
	t.Helper()
	left := time.Until(receive(t, h.told))
	assert.Greater(t, left, 5*time.Second, "ShutdownTimeout")
	assert.Less(t, left, 15*time.Second)
	said, err := io.ReadAll(client)
	require.NoError(t, err, "FIN and not RST")
	assert.Equal(t, "bye", string(said))
	assert.Equal(t, protocol.ReasonLocalClosed, receive(t, h.closed).Reason)
	receive(t, l.Done())
	require.NoError(t, l.result(), "an orderly end")
}

// watched is an actor that may be an Owner: a string makes it fail, and its supervisor start it
// again.
func (w *world) watched(t *testing.T) (pid *actor.PID, started chan struct{}) {
	started = make(chan struct{}, 10)
	pid = w.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *actor.Started:
			started <- struct{}{}
		case string:
			panic("as told")
		}
	}))
	receive(t, started)
	return pid, started
}

func TestTheEndOfAWatchedOwnerDrainsTheListener(t *testing.T) {
	for name, end := range map[string]func(w *world, pid *actor.PID){
		"stopped":  func(w *world, pid *actor.PID) { w.Root.Stop(pid) },
		"poisoned": func(w *world, pid *actor.PID) { w.Root.Poison(pid) },
	} {
		t.Run(name, func(t *testing.T) {
			overEach(t, func(t *testing.T, o Options) {
				w, handler := newWorld(), newFinisher()
				o.Connection = brisk
				o.Owner, _ = w.watched(t)
				l, err := Listen(w.Root, anyPort, of(handler), o)
				require.NoError(t, err)
				c := dial(t, l)
				echoes(t, c)
				end(w, o.Owner)
				handler.drains(t, l, c)
				eventually(t, func() bool { return len(w.actors()) == 0 })
			})
		})
	}
}

func TestAnOwnerThatHasEndedAlreadyStopsTheListenerAtOnce(t *testing.T) {
	for name, owner := range map[string]func(t *testing.T, w *world) *actor.PID{
		"ended": func(t *testing.T, w *world) *actor.PID {
			pid, _ := w.watched(t)
			w.Root.Stop(pid)
			eventually(t, func() bool { return len(w.actors()) == 0 })
			return pid
		},
		"never was":                   func(_ *testing.T, w *world) *actor.PID { return w.NewLocalPID("none") },
		"on a node that is not there": func(*testing.T, *world) *actor.PID { return actor.NewPID("192.0.2.1:7", "actor") },
	} {
		t.Run(name, func(t *testing.T) {
			overEach(t, func(t *testing.T, o Options) {
				w, before := newWorld(), descriptors()
				o.Owner = owner(t, w)
				l, err := Listen(w.Root, anyPort, of(newEcho()), o)
				require.NoError(t, err)
				receive(t, l.Done())
				require.NoError(t, l.Close())
				assert.Len(t, published[*Stopped](w), 1)
				assert.Empty(t, w.actors())
				assert.LessOrEqual(t, descriptors(), before)
			})
		})
	}
}

func TestAnOwnerThatIsRestartedKeepsItsListener(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		var started chan struct{}
		o.Owner, started = w.watched(t)
		l, err := Listen(w.Root, anyPort, of(newEcho()), o)
		require.NoError(t, err)
		c := dial(t, l)
		for range 3 {
			w.Root.Send(o.Owner, "fail")
			receive(t, started)
			require.NoError(t, l.SetOptions(o), "the same owner")
			echoes(t, c)
			echoes(t, dial(t, l))
		}
		require.NoError(t, l.Close())
		w.Root.Stop(o.Owner)
		eventually(t, func() bool { return len(w.actors()) == 0 })
	})
}

func TestAListenerThatIsRestartedStillHasItsOwner(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Connection = brisk
		o.Owner, _ = w.watched(t)
		l, err := Listen(w.Root, anyPort, of(newEcho()), o)
		require.NoError(t, err)
		echoes(t, dial(t, l))
		restart(w, l.PID())
		echoes(t, dial(t, l))
		w.Root.Stop(o.Owner)
		receive(t, l.Done())
	})
}

// An owner may outlive many listeners. None of them is told of its end later, and it remembers
// none.
func TestAListenerThatHasEndedIsForgottenByItsOwner(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Owner, _ = w.watched(t)
		for range 3 {
			l, err := Listen(w.Root, anyPort, of(newEcho()), o)
			require.NoError(t, err)
			echoes(t, dial(t, l))
			require.NoError(t, l.Close())
		}
		w.Root.Stop(o.Owner)
		eventually(t, func() bool { return len(w.actors()) == 0 })
		for _, letter := range published[*actor.DeadLetterEvent](w) {
			_, told := letter.Message.(*actor.Terminated)
			assert.False(t, told, "%v", letter)
		}
	})
}

func TestAListenerInATreeDrainsWhenItsParentStops(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newFinisher()
		o.Connection = brisk
		listening, stopped := make(chan *Listener, 1), make(chan struct{})
		parent := w.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			switch ctx.Message().(type) {
			case *actor.Started:
				l, err := Listen(ctx, anyPort, of(handler), o)
				assert.NoError(t, err)
				listening <- l
			case *actor.Stopped:
				close(stopped)
			}
		}))
		l := receive(t, listening)
		c := dial(t, l)
		echoes(t, c)
		w.Root.Stop(parent)
		handler.drains(t, l, c)
		receive(t, stopped)
		eventually(t, func() bool { return len(w.actors()) == 0 })
	})
}

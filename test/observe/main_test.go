package observe

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/berthtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what comes at once. Only a failing test waits that long.
const patience = 20 * time.Second

// everywhere runs test in memory and virtual time, and on real sockets.
func everywhere(t *testing.T, test func(t *testing.T, options ...berthtest.Option)) {
	t.Run("memory", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { test(t) }) })
	t.Run("loopback", func(t *testing.T) { test(t, berthtest.Loopback()) })
}

// events are those of one actor system, in order.
type events struct {
	mu   sync.Mutex
	all  []any
	news chan struct{} // room for one signal
}

// listen keeps the events of a system from now on.
func listen(system *actor.ActorSystem) *events {
	e := &events{news: make(chan struct{}, 1)}
	system.EventStream.Subscribe(func(event any) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, event)
		select {
		case e.news <- struct{}{}:
		default:
		}
	})
	return e
}

// of returns the events of one type so far.
func of[T any](e *events) (all []T) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		if one, ok := event.(T); ok {
			all = append(all, one)
		}
	}
	return all
}

// first waits for an event of one type that fits.
func first[T any](t *testing.T, e *events, fits func(T) bool) T {
	t.Helper()
	late := time.After(patience)
	for {
		for _, one := range of[T](e) {
			if fits(one) {
				return one
			}
		}
		select {
		case <-e.news:
		case <-late:
			var none T
			require.FailNow(t, "no such event", "%T; there are %v", none, e.all)
		}
	}
}

// warned waits for a warning of a kind, which is over or not.
func warned(t *testing.T, e *events, kind connection.WarningKind, over bool) *berth.Warning {
	t.Helper()
	return first(t, e, func(w *berth.Warning) bool { return w.Kind == kind && w.Over == over })
}

// silent returns an actor system that logs nothing.
func silent() *actor.ActorSystem {
	return berth.NewSystem(setup.Silent()...)
}

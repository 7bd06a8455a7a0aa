package servers

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/internal/setup"
)

func TestMain(m *testing.M) {
	beH2Spec()
	system = setup.System()
	setup.Main(m)
}

// system is that of all bridges.
var system *actor.ActorSystem

var certificate = setup.Certificate(setup.Name)

// open opens a listener; nil where the platform has none of the kind. ended waits for the end of
// its server.
func open(t *testing.T, kind string) (l net.Listener, ended func()) {
	t.Helper()
	if kind == "poll" && runtime.GOOS == "windows" {
		return nil, nil
	}
	l, over, err := Listen(kind, system)
	require.NoError(t, err)
	return l, func() {
		ctx, cancel := context.WithTimeout(context.Background(), setup.Patience)
		defer cancel()
		require.NoError(t, over(ctx))
	}
}

// watch returns a function that requires that no more is left than there is now.
func watch(t *testing.T) (nothingLeft func()) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	descriptors, actors := setup.Descriptors(), len(setup.Actors(system))
	return func() {
		began := time.Now()
		for err := goleak.Find(before); err != nil; err = goleak.Find(before) { // net/http's HTTP/2 ends a second later
			require.Less(t, time.Since(began), setup.Patience, "%v", err)
		}
		setup.Eventually(t, func() bool {
			runtime.GC() // files that a client has forgotten
			return setup.Descriptors() <= descriptors && len(setup.Actors(system)) <= actors
		})
	}
}

// onEach runs a test with the case's server on each kind of listener.
func onEach(t *testing.T, c Case, test func(t *testing.T, kind, addr string)) {
	t.Helper()
	for _, kind := range Kinds() {
		t.Run(kind, func(t *testing.T) {
			if kind == "poll" && runtime.GOOS == "windows" {
				t.Skip("there is no poll transport on Windows")
			}
			nothingLeft := watch(t)
			addr, stop, err := c.Start(kind, system, certificate)
			require.NoError(t, err)
			test(t, kind, addr)
			assert.NoError(t, stop())
			nothingLeft()
		})
	}
}

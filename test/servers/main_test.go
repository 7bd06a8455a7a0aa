package servers

import (
	"context"
	"flag"
	"runtime"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/internal/setup"
)

func TestMain(m *testing.M) {
	flag.Parse()
	system = setup.System()
	setup.Main(m)
}

// system is that of all bridges.
var system *actor.ActorSystem

// onEach runs a test on each kind of listener. served is a server of the case on it. When the test
// has returned nothing of the server may be left.
func onEach(t *testing.T, c Case, test func(t *testing.T, kind, addr string)) {
	t.Helper()
	for _, kind := range Kinds() {
		t.Run(kind, func(t *testing.T) {
			if kind == "poll" && runtime.GOOS == "windows" {
				t.Skip("there is no poll transport on Windows")
			}
			before := goleak.IgnoreCurrent()
			descriptors, actors := setup.Descriptors(), len(setup.Actors(system))
			l, ended, err := Listen(kind, system)
			require.NoError(t, err)
			stop := c.Serve(l, certificate)
			test(t, kind, l.Addr().String())
			assert.NoError(t, stop())
			ctx, cancel := context.WithTimeout(t.Context(), setup.Patience)
			defer cancel()
			require.NoError(t, ended(ctx))
			goleak.VerifyNone(t, before)
			setup.Eventually(t, func() bool {
				runtime.GC() // files that a client has forgotten
				return setup.Descriptors() <= descriptors && len(setup.Actors(system)) <= actors
			})
		})
	}
}

var certificate = setup.Certificate(setup.Name)


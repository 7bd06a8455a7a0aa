package clients

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
)

func TestMain(m *testing.M) { setup.Main(m) }

var (
	dials    = flag.Int("clients.dials", 300, "how many dials each test makes; the full number is 10000")
	restarts = flag.Int("clients.restarts", 4, "how often the server is restarted; the full number is 20")
	seed     = flag.Uint64("seed", 0, "of all random choices; 0: one is drawn, and printed")
)

const patience = 30 * time.Second

func drawSeed(t *testing.T) uint64 {
	n := *seed
	if n == 0 {
		n = rand.Uint64N(1 << 32)
	}
	t.Logf("again: go test ./test/clients -count=1 -run '%s' -seed %d -clients.dials %d -clients.restarts %d", t.Name(), n, *dials, *restarts)
	return n
}

func newSystem() *actor.ActorSystem {
	return berth.NewSystem(setup.Silent()...)
}

// transports are those of this system.
func transports() map[string]berth.Transport {
	all := map[string]berth.Transport{"stream": berth.Stream}
	if runtime.GOOS != "windows" {
		all["poll"] = berth.Poll
	}
	return all
}

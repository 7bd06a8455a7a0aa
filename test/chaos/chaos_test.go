package chaos

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/test/report"
)

var (
	chaosFor     = flag.Duration("chaos.for", 2*time.Second, "how long actors are killed, on each transport")
	chaosClients = flag.Int("chaos.clients", 50, "how many clients check what they get meanwhile")
	seed         = flag.Uint64("seed", 0, "of all random choices; 0: one is drawn, and printed")
)

const killEvery = 10 * time.Millisecond

func drawSeed(t *testing.T) uint64 {
	n := *seed
	if n == 0 {
		n = rand.Uint64N(1 << 32)
	}
	t.Logf("again: go test ./test/chaos -count=1 -run '%s' -seed %d -chaos.for %v -chaos.clients %d -soak.for %v", t.Name(), n, *chaosFor, *chaosClients, *soakFor)
	return n
}

// C1: if any actor is killed, its connection ends and its client is told. No other connection is
// affected, and the listener goes on.
func TestUnderKillsEveryClientIsServedOrToldAndTheListenerGoesOn(t *testing.T) {
	run := func(t *testing.T, o listener.Options) {
		began, seed := time.Now(), drawSeed(t)
		seen, system := &ledger{}, newSystem()
		o.Connection.CloseTimeout = time.Second
		l, err := listener.Listen(system.Root, "127.0.0.1:0", factory(seen), o)
		require.NoError(t, err)
		like := client{addr: l.Addr().String(), ledger: seen, pause: 20 * time.Millisecond, secure: o.TLSConfig != nil}
		clients := gather(*chaosClients, seed, like)

		kills := kill(system, l.PID(), rand.New(rand.NewPCG(seed, 1<<63)), *chaosFor)
		clients.leave()

		like.pause = time.Millisecond
		after := gather(*chaosClients, seed+1, like)
		served := seen.echoed.Load() + int64(*chaosClients)
		require.Eventually(t, func() bool { return seen.echoed.Load() >= served }, patience, time.Millisecond, "healed")
		after.leave()
		endsCleanly(t, system, l, seen)

		violations, first := seen.found()
		figures := map[string]any{
			"clients": *chaosClients, "kills": kills.total(), "kinds": kills, "connections": seen.dialled.Load(),
			"cut": seen.cut.Load(), "messages": seen.echoed.Load(), "violations": violations,
		}
		report.Add(t, report.Row{ID: "C1", Holds: "G1 G3 G8 G9", Figures: figures, Seeds: seeds(seed), Duration: time.Since(began)})
		require.Zero(t, violations, first)
	}
	overEach(t, func(t *testing.T, transport listener.Transport) { run(t, listener.Options{Transport: transport}) })
	t.Run("TLS", func(t *testing.T) { run(t, listener.Options{TLSConfig: certified(t)}) })
}

// kills counts killed actors by kind.
type kills map[string]int

func (k kills) total() (n int) {
	for _, of := range k {
		n += of
	}
	return n
}

// kill repeatedly ends a random actor below pid. It picks the kind first, as most actors belong to
// connections.
func kill(system *actor.ActorSystem, pid *actor.PID, random *rand.Rand, lasting time.Duration) kills {
	killed := kills{}
	ticker := time.NewTicker(killEvery)
	defer ticker.Stop()
	for end := time.Now().Add(lasting); time.Now().Before(end); <-ticker.C {
		byKind := map[string][]string{}
		for _, id := range setup.ActorsBelow(system, pid) {
			kind := kindOf(strings.TrimPrefix(id, pid.Id))
			byKind[kind] = append(byKind[kind], id)
		}
		kind := kinds[random.IntN(len(kinds))]
		if len(byKind[kind]) == 0 {
			continue
		}
		killed[kind]++
		victim := system.NewLocalPID(byKind[kind][random.IntN(len(byKind[kind]))])
		switch {
		case kind == supervisor: // its stop would end the listener; its restart does not
			process, _ := system.ProcessRegistry.Get(victim)
			process.SendSystemMessage(victim, &actor.Restart{})
		case random.IntN(2) == 0:
			system.Root.Stop(victim)
		default:
			system.Root.Poison(victim)
		}
	}
	return killed
}

// The kinds of actors of a listener, by their place in its tree.
const (
	supervisor  = "supervisor"
	acceptor    = "acceptor"
	connections = "parent of connections"
	connected   = "connection"
	writer      = "writer"
)

var kinds = []string{supervisor, acceptor, connections, connected, writer}

// kindOf returns the kind for a path below the listener: "", "/acceptor", "/connections",
// "/connections/$5", "/connections/$5/$6".
func kindOf(path string) string {
	switch depth := strings.Count(path, "/"); {
	case depth == 0:
		return supervisor
	case path == "/connections":
		return connections
	case depth == 1:
		return acceptor
	case depth == 2:
		return connected
	default:
		return writer
	}
}

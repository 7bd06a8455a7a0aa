package chaos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/test/report"
)

var soakFor = flag.Duration("soak.for", 3*time.Second, "how long the server is used, on each transport")

// samples is how often the process is measured. The first quarter is left out: pools and maps still
// grow to their size.
const samples = 60

// C2: while a server is used in every way at a low rate for a long time, the use of limited
// resources does not grow.
func TestALongLifeTakesNoMoreOfAnythingThanAShortOne(t *testing.T) {
	overEach(t, func(t *testing.T, transport listener.Transport) {
		t.Parallel() // half an hour is long; each test measures the whole process, with both in it
		began, seed := time.Now(), drawSeed(t)
		seen, system := &ledger{}, newSystem()
		l, err := listener.Listen(system.Root, "127.0.0.1:0", factory(seen), listener.Options{
			Transport: transport, MaxConnections: 30,
			Connection: connection.Options{IdleTimeout: time.Second, CloseTimeout: time.Second},
		})
		require.NoError(t, err)
		clients := gather(20, seed, client{addr: l.Addr().String(), ledger: seen, pause: 100 * time.Millisecond, faults: true})

		var series [samples]sample
		random := rand.New(rand.NewPCG(seed, 1<<63))
		for i := range series {
			lasting := *soakFor / samples
			half := time.NewTimer(lasting / 2)
			l.Suspend()
			assert.NoError(t, l.Resume())
			<-half.C
			kill(system, l.PID(), random, lasting/2)
			series[i] = measure()
		}
		clients.leave()
		endsCleanly(t, system, l, seen)

		violations, first := seen.found()
		settled := series[samples/4:]
		figures := map[string]any{"connections": seen.dialled.Load(), "messages": seen.echoed.Load(), "violations": violations}
		for _, r := range resources {
			grown := growth(settled, r.of)
			figures[r.name] = fmt.Sprintf("%.0f at first, %+.1f at the end", r.of(settled[0]), grown)
			assert.Less(t, grown, r.slack(settled[0]), "%s grow", r.name)
		}
		report.Add(t, report.Row{ID: "C2", Holds: "G12", Figures: figures, Seeds: seeds(seed), Duration: time.Since(began)})
		require.Zero(t, violations, first)
	})
}

// sample holds the resources of the process at one moment.
type sample struct{ goroutines, descriptors, heap float64 }

func measure() sample {
	debug.FreeOSMemory() // a collection, so that the heap holds reachable memory only
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return sample{float64(runtime.NumGoroutine()), float64(setup.Descriptors()), float64(m.HeapAlloc)}
}

// resources are the limited resources of a process. slack is the noise: clients come and go during
// the measurement.
var resources = []struct {
	name  string
	of    func(sample) float64
	slack func(sample) float64
}{
	{"goroutines", func(s sample) float64 { return s.goroutines }, clientsNoise},
	{"descriptors", func(s sample) float64 { return s.descriptors }, clientsNoise},
	{"heap bytes", func(s sample) float64 { return s.heap }, func(s sample) float64 { return max(s.heap/10, 1<<20) }},
}

// clientsNoise is that of clients that come and go: a few of the 20, with some goroutines each. In
// a short life on a busy machine they come late; there a leak of one for each connection is 75.
func clientsNoise(sample) float64 {
	if *soakFor < time.Minute {
		return 40
	}
	return 15
}

// growth is the slope of the line of least squares through the samples, over their whole length.
func growth(series []sample, of func(sample) float64) float64 {
	n := float64(len(series))
	var x, y, xx, xy float64
	for i, s := range series {
		x += float64(i)
		y += of(s)
		xx += float64(i * i)
		xy += float64(i) * of(s)
	}
	return (n*xy - x*y) / (n*xx - x*x) * (n - 1)
}

func seeds(seed uint64) string { return fmt.Sprint(seed) }

func TestGrowthIsTheRiseOfTheLineThroughTheSamples(t *testing.T) {
	var flat, rising []sample
	for i := range 10 {
		flat = append(flat, sample{heap: 5 + float64(i%2)})
		rising = append(rising, sample{heap: 3 * float64(i)})
	}
	heap := func(s sample) float64 { return s.heap }
	assert.InDelta(t, 0, growth(flat, heap), 0.6)
	assert.InDelta(t, 27, growth(rising, heap), 1e-9)
}

package sim

import (
	"math/rand/v2"
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/simnet"
)

// plan holds the parameters of a world.
type plan struct {
	listener listener.Options
	network  simnet.Options
	factory  string
	crowd    int     // how many clients there are at most
	faults   bool    // the network is parted now and then
	hurried  float64 // how often there is no wait between two operations
	fatal    float64 // how often an operation is one that ends a connection
	slow     bool    // handlers block now and then
	needs    float64 // how often a handler asks for a number of bytes
	becomes  bool    // connections get other handlers
	frame    int     // the size of the frames that the listener's handlers take, 0: none
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func newPlan(rng *rand.Rand) plan {
	o := connection.Options{
		ReadBufferSize:       pick(rng, 16, 64, 256, 1024, 0),
		WriteBufferSize:      pick(rng, 32, 100, 1000, 5000, 0, -1),
		WriteQueueSize:       pick(rng, 1, 2, 3, 8, 0, -1),
		ReadGate:             pick(rng, connection.GateQuiet, connection.GateQuiet, connection.GateLowWater, connection.GateOff),
		ReadMode:             pick(rng, connection.Push, connection.Push, connection.Push, connection.Pull),
		HoldFullReadBuffer:   rng.IntN(3) == 0,
		KeepOpenOnPeerClosed: rng.IntN(3) == 0,
		SlowConsumer:         pick(rng, connection.SlowRefuse, connection.SlowRefuse, connection.SlowClose, connection.SlowDropNewest),
		RestartHandler:       connection.RestartHandler{Max: pick(rng, 0, 0, 0, 1, 5)},
		IdleTimeout:          pick[time.Duration](rng, 0, 0, 300*time.Millisecond, 20*time.Second),
		ReadTimeout:          pick[time.Duration](rng, 0, 0, 0, 500*time.Millisecond),
		WriteTimeout:         pick(rng, 0, -1, time.Second),
		CloseTimeout:         pick(rng, 0, 100*time.Millisecond, 2*time.Second, -1),
		LingerTimeout:        pick(rng, 0, 100*time.Millisecond, 2*time.Second, -1),
		HalfCloseTimeout:     pick(rng, 0, -1, time.Second),
		MaxAge:               pick(rng, 0, 0, 0, 3*time.Second),
		MaxAgeGrace:          pick(rng, 0, -1, time.Second),
		DrainQuiet:           pick(rng, 0, -1, 50*time.Millisecond),
	}
	if most := o.WithDefaults().WriteBufferSize; rng.IntN(2) == 0 && most < 1<<20 {
		o.HighWater = 1 + rng.IntN(most)
		o.LowWater = rng.IntN(o.HighWater)
	}
	p := plan{
		listener: listener.Options{
			Connection:      o,
			MaxConnections:  pick(rng, 0, 2, 5, 8),
			WhenFull:        pick(rng, listener.Wait, listener.Wait, listener.Reject),
			ShutdownTimeout: pick(rng, 0, time.Second),
		},
		network: simnet.Options{
			BufferSize: pick(rng, 16, 100, 1000, 10_000, 0),
			Latency:    pick(rng, 0, 0, 0, time.Millisecond, 30*time.Millisecond),
		},
		factory: pick(rng, "handlers", "handlers", "functions", "actors"),
		crowd:   2 + rng.IntN(8),
		faults:  rng.IntN(3) == 0,
		hurried: pick(rng, 0, 0.3, 0.7, 0.95),
		fatal:   pick(rng, 0.005, 0.02, 0.1),
		slow:    rng.IntN(3) == 0,
	}
	if rng.IntN(2) == 0 {
		p.network.Window = bufferOf(p.network)
	}
	p.needs = pick(rng, 0, 0.02, 0.1, 0.4)
	p.becomes = rng.IntN(2) == 0
	size := o.WithDefaults().ReadBufferSize
	p.listener.Connection.MaxReadBufferSize = pick(rng, 0, 0, size, size+1, 4*size, 100*size)
	if rng.IntN(8) == 0 {
		p.frame = (&world{plan: p}).frameSize(rng)
	}
	return p
}

// bufferOf returns how many bytes the network holds in one direction.
func bufferOf(o simnet.Options) int {
	if o.BufferSize == 0 {
		return 64 << 10 // simnet's default
	}
	return o.BufferSize
}

// world returns what the judge must know.
func (p plan) world() check.World {
	return check.World{
		Options:        p.listener.Connection,
		MaxConnections: p.listener.MaxConnections,
		Rejects:        p.listener.WhenFull == listener.Reject,
		Network:        bufferOf(p.network),
		Instant:        p.network.Latency == 0,
		Lossless:       p.network.Window >= bufferOf(p.network),
	}
}

package sim

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/report"
)

// sockets is the machine's own network. Its clock is the real one, and a test cannot tell when all
// is at rest. It is TCP, because the ends of a unix socket have no RST, and no names by which the
// history could pair them.
type sockets struct {
	transport listener.Transport
	addr      net.Addr
}

func (s *sockets) listen(w *world) (*listener.Listener, error) {
	o := w.plan.listener
	o.Transport = s.transport
	l, err := listener.Listen(w.system.Root, "127.0.0.1:0", w.recorder.Watch(w.factory()), o)
	if err == nil {
		s.addr = l.Addr()
	}
	return l, err
}

func (s *sockets) dial() (net.Conn, error) {
	return net.DialTimeout("tcp", s.addr.String(), 5*time.Second)
}

func (*sockets) rest(*world)             { runtime.Gosched() }
func (s *sockets) sleep(d time.Duration) { time.Sleep(min(d, s.patience())) }
func (*sockets) patience() time.Duration { return 2 * time.Millisecond }
func (*sockets) left() string            { return "" }

// sendBuffer is the size of the server's kernel buffers.
const sendBuffer = 4 << 10

// realPlan is a plan for a real clock: its limits are short, or off.
func realPlan(rng *rand.Rand) plan {
	p := newPlan(rng)
	o := &p.listener.Connection
	o.IdleTimeout = pick(rng, 0, 20*time.Millisecond)
	o.ReadTimeout = pick[time.Duration](rng, 0, 0, 20*time.Millisecond)
	o.WriteTimeout = pick(rng, -1, 20*time.Millisecond)
	o.CloseTimeout = 20 * time.Millisecond
	o.LingerTimeout = 20 * time.Millisecond
	o.HalfCloseTimeout = pick(rng, -1, 20*time.Millisecond)
	o.MaxAge, o.MaxAgeGrace, o.DrainQuiet = 0, 0, 5*time.Millisecond
	p.listener.SendBufferSize, p.listener.RecvBufferSize = sendBuffer, sendBuffer
	p.network.BufferSize, p.network.Window = 0, 0
	p.faults = false
	return p
}

// The same worlds over real sockets, with the poll transport and without. Here time is real, so
// there are fewer worlds. The judge knows less: neither when all is at rest nor how much the
// network holds.
func TestSimOverRealSockets(t *testing.T) {
	for name, kind := range map[string]listener.Transport{"poll": listener.Poll, "stream": listener.Stream} {
		t.Run(name, func(t *testing.T) {
			if kind == listener.Poll && !transport.PollSupported {
				t.Skip("not on " + runtime.GOOS)
			}
			simulateReal(t, kind)
		})
	}
}

func simulateReal(t *testing.T, kind listener.Transport) {
	began, sum := time.Now(), total{ends: map[string]int{}}
	worlds := uint64(max(5, int(500**scale)))
	for n := uint64(1); n <= worlds && !t.Failed(); n++ {
		if *seed != 0 {
			n, worlds = *seed, *seed
		}
		rng := rand.New(rand.NewPCG(n, 1))
		r := run{seed: n, steps: *steps, plan: realPlan(rng)}
		w := &world{seed: n, plan: r.plan, ground: &sockets{transport: kind}, rng: rng, system: newSystem()}
		r.records, r.err = w.history(*steps)
		r.operations = w.operations(r.records)
		r.violations = check.Violations(check.World{
			Options:        r.plan.listener.Connection,
			MaxConnections: r.plan.listener.MaxConnections,
			Rejects:        r.plan.listener.WhenFull == listener.Reject,
			RealTime:       true,
			Kernel:         check.Kernel{Writes: 3, Bytes: sendBuffer}, // a small write takes more than its bytes,
		}, r.records)
		sum.add(r)
		if r.failed() {
			t.Errorf("seed %d fails; again, more or less: go test ./test/sim -count=1 -run '^%s$' -sim.seed %d -sim.ops %d", n, t.Name(), n, *steps)
			r.show(t)
		}
	}
	report.Add(t, report.Row{
		ID: "D1", Holds: "G1-G6, G8, G10, G13, G15", Seeds: fmt.Sprintf("1-%d", worlds), Duration: time.Since(began), Figures: sum.figures(),
		Skipped: skipped(*scale >= 1, "a short form"),
	})
}

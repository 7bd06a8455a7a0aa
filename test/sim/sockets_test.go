package sim

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/report"
)

// sockets is the machine's own network. Its clock is the real one, and a test cannot tell when all
// is at rest. It is TCP, because the ends of a unix socket have no RST, and no names by which the
// history could pair them.
type sockets struct {
	transport listener.Transport
	tls       *tls.Config // nil: without
	addr      net.Addr
}

func (s *sockets) listen(w *world) (*listener.Listener, error) {
	o := w.plan.listener
	o.Transport, o.TLSConfig = s.transport, s.tls
	l, err := listener.Listen(w.system.Root, "127.0.0.1:0", w.recorder.Watch(w.factory()), o)
	if err == nil {
		s.addr = l.Addr()
	}
	return l, err
}

func (s *sockets) dial() (net.Conn, error) {
	c, err := net.DialTimeout("tcp", s.addr.String(), 5*time.Second)
	if err != nil || s.tls == nil {
		return c, err
	}
	return &secured{Conn: tls.Client(c, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})}, nil
}

// secured is a client's end over TLS that ends as one of TCP does.
type secured struct {
	*tls.Conn
	finishing sync.Mutex // held during CloseWrite
	failed    error      // of a CloseWrite; under finishing
}

func (s *secured) socket() *net.TCPConn { return s.NetConn().(*net.TCPConn) }

// Read implements net.Conn. A kernel tells a reset once: if close_notify heard of it, the end of
// the input is none in order.
func (s *secured) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err == io.EOF {
		s.finishing.Lock()
		defer s.finishing.Unlock()
		if s.failed != nil {
			err = s.failed
		}
	}
	return n, err
}

// SetLinger makes the close send RST. A tls.Conn's Close would first say close_notify.
func (s *secured) SetLinger(sec int) error { return s.socket().SetLinger(sec) }

// Close closes the socket, which sends FIN or RST.
func (s *secured) Close() error { return s.socket().Close() }

// CloseWrite sends close_notify, and FIN.
func (s *secured) CloseWrite() error {
	s.finishing.Lock()
	defer s.finishing.Unlock()
	if s.failed = s.Conn.CloseWrite(); s.failed != nil {
		return s.failed
	}
	return s.socket().CloseWrite()
}

func (*sockets) rest(*world) { runtime.Gosched() }

// answers gives up in the end, for the checker is to say which one has not come.
func (*sockets) answers(w *world) {
	select {
	case <-w.recorder.Answered():
	case <-time.After(10 * time.Second):
	}
}

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
	config, _ := setup.TLS()
	for name, s := range map[string]sockets{
		"poll": {transport: listener.Poll}, "stream": {transport: listener.Stream}, "TLS": {transport: listener.Poll, tls: config},
	} {
		t.Run(name, func(t *testing.T) {
			if s.transport == listener.Poll && !transport.PollSupported {
				t.Skip("not on " + runtime.GOOS)
			}
			if s.tls != nil && *scale < 0.1 {
				t.Skip("a part of the long form: -sim.scale 0.1 or more")
			}
			simulateReal(t, s)
		})
	}
}

func simulateReal(t *testing.T, over sockets) {
	began, sum := time.Now(), total{ends: map[string]int{}}
	worlds := uint64(max(5, int(500**scale)))
	for n := uint64(1); n <= worlds && !t.Failed(); n++ {
		if *seed != 0 {
			n, worlds = *seed, *seed
		}
		rng := rand.New(rand.NewPCG(n, 1))
		r := run{seed: n, steps: *steps, plan: realPlan(rng)}
		w := &world{seed: n, plan: r.plan, ground: &sockets{transport: over.transport, tls: over.tls}, system: newSystem()}
		r.records, r.err = w.history(*steps)
		r.operations = w.operations(r.records)
		r.violations = check.Violations(check.World{
			Options:        r.plan.listener.Connection,
			MaxConnections: r.plan.listener.MaxConnections,
			Rejects:        r.plan.listener.WhenFull == listener.Reject,
			RealTime:       true,
			Secured:        over.tls != nil,
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

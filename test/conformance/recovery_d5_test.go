package conformance

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/faultnet"
	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/simnet"
)

var (
	seeds     = flag.Uint64("faults.seeds", 40, "how many random histories of faults, from seed 0 on")
	firstSeed = flag.Uint64("faults.seed", 0, "the first of them")
)

// longestWait is the listener's longest back-off.
const longestWait = time.Second

// D5: any faults for a while, then healed. Accepts fail in bursts; connections are slow, cut to
// pieces, stalled, reset, closed, partitioned; their calls move too little or fail, their Close
// blocks; clients behave at random. In every case a client that comes after the faults is served
// within the longest back-off.
func TestFaultsDelayAcceptByOneBackOff(t *testing.T) {
	began := time.Now()
	var slowest time.Duration
	var accepted, failed uint64
	for seed := *firstSeed; seed < *firstSeed+*seeds; seed++ {
		inBubble(t, func(t *testing.T, w *world) {
			h := newHistory(w, seed)
			h.play()
			slowest = max(slowest, h.heal())
			accepted += h.server.Info().Accepted
			failed += h.server.Info().AcceptErrors
			h.end()
		})
		if t.Failed() {
			t.Fatalf("seed %d: go test -run '^%s$' ./test/conformance -faults.seed %[1]d -faults.seeds 1", seed, t.Name())
		}
	}
	report.Add(t, report.Row{ID: "D5", Holds: "G9", Seeds: fmt.Sprintf("%d-%d", *firstSeed, *firstSeed+*seeds-1), Duration: time.Since(began), Figures: map[string]any{
		"histories": *seeds, "connections": accepted, "failed accepts": failed, "slowest after healing": slowest.String(),
	}})
}

// history is one random history of faults.
type history struct {
	w        *world
	random   *rand.Rand
	sim      *simnet.Listener
	faulty   *faultnet.Listener
	server   *server
	networks []*faultnet.Network
	left     chan struct{} // one for each client that has left
	came     int
}

func newHistory(w *world, seed uint64) *history {
	h := &history{w: w, random: rand.New(rand.NewPCG(seed, 5)), sim: simnet.Listen(simnet.Options{}), left: make(chan struct{})}
	for range h.random.IntN(4) {
		h.networks = append(h.networks, faultnet.NewNetwork(seed, faultnet.RandomToxic(h.random), faultnet.RandomToxic(h.random)))
	}
	h.faulty = faultnet.NewListener(h.sim)
	h.faulty.Wrap(h.wrapper(rand.New(rand.NewPCG(seed, 6))))
	options := connection.Options{
		IdleTimeout: h.some(time.Minute), WriteTimeout: h.some(time.Minute), CloseTimeout: h.some(20 * time.Second), HalfCloseTimeout: h.some(time.Minute),
		ReadBufferSize: 1<<10 + h.random.IntN(64<<10), WriteBufferSize: 128 << 10, HoldFullReadBuffer: h.chance(2), KeepOpenOnPeerClosed: h.chance(4),
	}
	play := script{data: echo}
	if h.chance(2) {
		play.data = echoInPieces
	}
	h.server = w.serveOn(h.faulty, func() (net.Conn, error) { return h.sim.Dial(context.Background()) }, play, listener.Options{Connection: options})
	return h
}

// echoInPieces answers with several writes, which go out together.
func echoInPieces(t *tape, b *protocol.Buffer) error {
	for n := b.Len()/4 + 1; b.Len() > 0; {
		if err := t.write("piece", string(b.Next(n))); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) chance(in int) bool { return h.random.IntN(in) == 0 }

func (h *history) some(most time.Duration) time.Duration {
	return time.Millisecond + time.Duration(h.random.Int64N(int64(most)))
}

// wrapper makes connections faulty. Accept calls the function it returns, on one goroutine.
func (h *history) wrapper(random *rand.Rand) func(net.Conn) net.Conn {
	return func(conn net.Conn) net.Conn {
		if len(h.networks) > 0 && random.IntN(2) == 0 {
			conn = h.networks[random.IntN(len(h.networks))].Conn(conn)
		}
		if random.IntN(2) == 0 {
			conn = faultnet.NewConn(conn, faultnet.RandomScript(random))
		}
		return conn
	}
}

// play lets faults happen for a while.
func (h *history) play() {
	errs := faultnet.AcceptErrors()
	for range 20 + h.random.IntN(40) {
		time.Sleep(h.some(time.Second))
		switch h.random.IntN(8) {
		case 0:
			for range 1 + h.random.IntN(12) {
				h.faulty.Fail(errs[h.random.IntN(len(errs))])
			}
		case 1:
			h.sim.Partition()
		case 2:
			h.sim.Heal()
		default:
			h.client(rand.New(rand.NewPCG(h.random.Uint64(), 0)))
		}
	}
}

// client connects, behaves at random, and leaves.
func (h *history) client(random *rand.Rand) {
	h.came++
	go func() {
		defer func() { h.left <- struct{}{} }()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		conn, err := h.sim.Dial(ctx)
		if err != nil {
			return
		}
		defer conn.Close()
		p := &peer{Conn: conn, w: h.w}
		text := pattern(random.IntN(30_000))
		switch random.IntN(5) {
		case 0:
			time.Sleep(time.Duration(random.Int64N(int64(time.Minute))))
		case 1:
			_ = p.SetDeadline(time.Now().Add(time.Duration(random.Int64N(int64(time.Minute)))))
			_, _ = io.WriteString(p.Conn, text) // and reads nothing
		case 2:
			_, _ = io.WriteString(p.Conn, text[:len(text)/2])
			_ = conn.Reset()
		default:
			back, _ := exchange(p, text, random)
			assert.True(h.w.t, strings.HasPrefix(text, back), "other bytes than were sent")
		}
	}()
}

// heal ends all faults, and returns how long a fresh client then waits for its echo.
func (h *history) heal() time.Duration {
	h.w.t.Helper()
	h.faulty.Heal()
	for _, network := range h.networks {
		network.Heal()
	}
	h.sim.Heal()
	healed := time.Now()
	fresh := h.server.client()
	fresh.send("fresh")
	fresh.expect("fresh")
	took := time.Since(healed)
	assert.LessOrEqual(h.w.t, took, longestWait)
	fresh.close()
	return took
}

// end waits for the clients and stops everything: nothing may be left.
func (h *history) end() {
	h.w.t.Helper()
	for range h.came {
		<-h.left
	}
	h.server.finish(h.w.t, func() { _ = h.server.Close() })
	<-h.server.Done() // later than Close where the Close of a connection blocks
	for _, network := range h.networks {
		network.Close()
	}
	assert.Zero(h.w.t, h.sim.Open(), "sockets left")
}

package clients

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/simnet"
)

// moody is a server that treats each client at random: it resets, closes, stalls or echoes.
type moody struct {
	net.Listener
	mu      sync.Mutex
	random  *rand.Rand
	stalled []net.Conn
	serving sync.WaitGroup
}

func newMoody(l net.Listener, seed uint64) *moody {
	m := &moody{Listener: l, random: rand.New(rand.NewPCG(seed, 1))}
	m.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.treat(c)
		}
	})
	return m
}

func (m *moody) treat(c net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch m.random.IntN(4) {
	case 0:
		_ = c.(interface{ SetLinger(int) error }).SetLinger(0)
		_ = c.Close()
	case 1:
		_ = c.Close()
	case 2:
		m.stalled = append(m.stalled, c)
		if most := 50; len(m.stalled) > most { // descriptors are limited
			_ = m.stalled[0].Close()
			m.stalled = m.stalled[1:]
		}
	case 3:
		m.serving.Go(func() {
			defer c.Close()
			_, _ = io.Copy(onlyWriter{c}, onlyReader{c}) // without splice, which would take descriptors of its own
		})
	}
}

type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

func (m *moody) end() {
	_ = m.Close()
	m.mu.Lock()
	for _, c := range m.stalled {
		_ = c.Close()
	}
	m.mu.Unlock()
	m.serving.Wait()
}

// visitor is the handler of a dialled connection. It says hello and leaves at the answer.
type visitor struct {
	answered chan struct{}
	once     sync.Once
	closed   chan struct{}
}

func (v *visitor) Accepted(s berth.Socket) error {
	_, _ = s.Write([]byte("hello")) // the connection may have ended already
	return nil
}

func (v *visitor) Data(s berth.Socket, b *berth.Buffer) error {
	b.Discard(b.Len())
	v.once.Do(func() { close(v.answered) })
	return s.Close()
}

func (v *visitor) Closed(berth.Socket, *berth.Closed) { close(v.closed) }

// tally counts the ends of dials.
type tally struct {
	mu sync.Mutex
	by map[string]int
}

func (y *tally) add(what string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.by[what]++
}

// opens makes one connection, or fails with a clear error.
type opens func(ctx context.Context, handler berth.Factory, secured bool) (berth.Socket, error)

// one dials, and waits for the end of what came of it.
func (y *tally) one(t *testing.T, random *rand.Rand, open opens, secure bool) {
	v := &visitor{answered: make(chan struct{}), closed: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(5+random.IntN(40))*time.Millisecond)
	defer cancel()
	if random.IntN(10) == 0 {
		cancel()
	}
	socket, err := open(ctx, berth.Handlers(func() berth.Handler { return v }), secure && random.IntN(3) == 0)
	if err != nil {
		switch {
		case errors.Is(err, context.Canceled):
			y.add("cancelled")
		case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
			y.add("timed out")
		default:
			y.add("failed")
		}
		select {
		case <-v.closed:
			assert.Fail(t, "a handler has seen a connection that was not opened")
		default:
		}
		return
	}
	timer := time.NewTimer(time.Duration(5+random.IntN(20)) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-v.answered:
		y.add("answered")
	case <-v.closed:
		y.add("ended by the server")
	case <-timer.C:
		y.add("stalled")
		socket.Abort()
	}
	select {
	case <-v.closed:
	case <-time.After(patience):
		assert.Fail(t, "a connection does not end", "%+v", socket.Info())
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// all makes so many dials, some at a time.
func (y *tally) all(t *testing.T, n int, seed uint64, open opens, secure bool) {
	const atOnce = 32
	var dialling sync.WaitGroup
	for part := range atOnce {
		dialling.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(part+2)))
			for i := part; i < n; i += atOnce {
				y.one(t, random, open, secure)
			}
		})
	}
	dialling.Wait()
}

// Dials to a server that refuses, resets, stalls and answers at random, half of them by message:
// each ends with one answer, and nothing is left of any.
func TestOfManyDialsNothingIsLeft(t *testing.T) {
	for name, transport := range transports() {
		t.Run(name, func(t *testing.T) {
			began, seed := time.Now(), drawSeed(t)
			system := newSystem()
			d, err := berth.NewDialerIn(system.Root, berth.Options{Transport: transport})
			require.NoError(t, err)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			server := newMoody(l, seed)
			unheard, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			require.NoError(t, unheard.Close())

			var mu sync.Mutex
			random := rand.New(rand.NewPCG(seed, 0))
			open := func(ctx context.Context, handler berth.Factory, secured bool) (berth.Socket, error) {
				mu.Lock()
				addr, byMessage := l.Addr().String(), random.IntN(2) == 0
				if random.IntN(5) == 0 {
					addr = unheard.Addr().String()
				}
				mu.Unlock()
				var options berth.DialOptions
				if secured {
					options.TLSConfig = &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS13}
				}
				if !byMessage {
					return d.Dial(ctx, addr, handler, options)
				}
				return connects(system, d.PID(), &berth.Connect{Addr: addr, Handler: handler, Options: options, Context: ctx})
			}
			y := &tally{by: map[string]int{}}
			y.all(t, 50, seed+1, open, true) // what a process opens once, and keeps
			require.NoError(t, d.WaitConnections(t.Context(), func(n int) bool { return n == 0 }))
			before, files, goroutines := len(setup.Actors(system)), setup.Descriptors(), runtime.NumGoroutine()

			y = &tally{by: map[string]int{}}
			y.all(t, *dials, seed, open, true)
			require.NoError(t, d.WaitConnections(t.Context(), func(n int) bool { return n == 0 }))
			// The server keeps up to 50 that stall, and a goroutine and a descriptor for each that
			// goes on for it.
			server.end()
			left := func() (a, f, g int) {
				return max(0, len(setup.Actors(system))-before), max(0, setup.Descriptors()-files), max(0, runtime.NumGoroutine()-goroutines)
			}
			const idle = 80 // goroutines of pools and loops, which stay for a while
			require.Eventually(t, func() bool { a, f, g := left(); return a == 0 && f == 0 && g <= idle }, patience, 10*time.Millisecond)
			a, f, _ := left()
			require.NoError(t, d.Close())
			_, _, g := left()
			figures := map[string]any{"dials": *dials, "actors left": a, "descriptors left": f, "goroutines left after Close": g}
			for what, n := range y.by {
				figures[what] = n
			}
			tell(t, "L1", "G12, G13", figures, seed, began, *dials < 10_000)
		})
	}
}

// connects asks by message, and waits for the answer.
func connects(system *actor.ActorSystem, pid *actor.PID, connect *berth.Connect) (berth.Socket, error) {
	answer, err := system.Root.RequestFuture(pid, connect, patience).Result()
	if err != nil {
		return nil, err
	}
	switch m := answer.(type) {
	case *berth.Connected:
		return m.Socket, nil
	case *berth.ConnectFailed:
		return nil, m.Err
	}
	return nil, errors.New("another answer came")
}

// The same in memory and in virtual time: there the bubble ends only when every goroutine has.
func TestOfManyDialsInVirtualTimeNothingIsLeft(t *testing.T) {
	began, seed := time.Now(), drawSeed(t)
	y := &tally{by: map[string]int{}}
	synctest.Test(t, func(t *testing.T) {
		system := newSystem()
		d, err := berth.NewDialerIn(system.Root, berth.Options{Transport: berth.Stream})
		require.NoError(t, err)
		sim := simnet.Listen(simnet.Options{Latency: time.Millisecond})
		server := newMoody(sim, seed)
		unheard := simnet.Listen(simnet.Options{Latency: time.Millisecond})
		_ = unheard.Close()
		dead := simnet.Listen(simnet.Options{})
		dead.Partition()
		var mu sync.Mutex
		random := rand.New(rand.NewPCG(seed, 0))
		synctest.Wait() // the dialer has begun
		before := len(setup.Actors(system))
		y.all(t, *dials, seed, func(ctx context.Context, handler berth.Factory, _ bool) (berth.Socket, error) {
			mu.Lock()
			to := []*simnet.Listener{sim, sim, sim, unheard, dead}[random.IntN(5)]
			mu.Unlock()
			conn, err := to.Dial(ctx)
			if err != nil {
				return nil, err
			}
			return d.Adopt(ctx, conn, handler, berth.DialOptions{})
		}, false)
		require.NoError(t, d.WaitConnections(t.Context(), func(n int) bool { return n == 0 }))
		synctest.Wait()
		assert.Len(t, setup.Actors(system), before)
		server.end()
		require.NoError(t, d.Close())
		time.Sleep(2 * time.Second) // the dead letters' throttle
	})
	figures := map[string]any{"dials": *dials, "network": "simnet"}
	maps.Copy(figures, asAny(y.by))
	tell(t, "L1", "G12, G13", figures, seed, began, *dials < 10_000)
}

func asAny(counts map[string]int) map[string]any {
	all := map[string]any{}
	for what, n := range counts {
		all[what] = n
	}
	return all
}

func tell(t *testing.T, id, holds string, figures map[string]any, seed uint64, began time.Time, part bool) {
	t.Helper()
	row := report.Row{ID: id, Holds: holds, Figures: figures, Duration: time.Since(began)}
	row.Seeds = formatSeed(seed)
	if part {
		row.Skipped = "a part of the numbers"
	}
	report.Add(t, row)
}

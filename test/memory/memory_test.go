package memory_test

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// writer answers with Write, which copies; forwarder with the memory of its input.
type (
	writer    struct{}
	forwarder struct{}
)

func (writer) Data(s berth.Socket, b *berth.Buffer) error {
	_, err := s.Write(b.Next(b.Len()))
	return err
}

func (forwarder) Data(s berth.Socket, b *berth.Buffer) error {
	_, err := s.Forward(b)
	return err
}

// serve starts a server over connections in memory.
func serve(t testing.TB, handler berth.Handler, budget int64) (conns chan<- *memory.Conn, stop func()) {
	system := setup.System()
	sockets := memory.Listen()
	l, err := berth.ServeIn(system.Root, sockets, berth.Handlers(func() berth.Handler { return handler }),
		berth.Options{MemoryBudget: budget, Connection: berth.ConnectionOptions{WriteTimeout: -1}})
	require.NoError(t, err)
	return sockets.Conns, func() { require.NoError(t, l.Close()) }
}

var hello = []byte("sixty-four bytes are a small message, and so this one is exactly")

func exchange(t testing.TB, c *memory.Conn) {
	if n := c.Exchange(hello); !bytes.Equal(c.Answer(n), hello) {
		require.Equal(t, string(hello), string(c.Answer(n)))
	}
}

func TestNoMessageMakesAnAllocation(t *testing.T) {
	if setup.Raced {
		t.Skip("the race detector's pools drop at random")
	}
	for name, handler := range map[string]berth.Handler{"Write": writer{}, "Forward": forwarder{}} {
		for _, budget := range []int64{0, 1 << 20} {
			conns, stop := serve(t, handler, budget)
			c := memory.NewConn()
			conns <- c
			exchange(t, c)
			require.Zero(t, testing.AllocsPerRun(2000, func() { exchange(t, c) }), "%s, budget %d", name, budget)
			stop()
		}
	}
}

func BenchmarkEcho(b *testing.B) {
	for name, handler := range map[string]berth.Handler{"Write": writer{}, "Forward": forwarder{}} {
		b.Run(name, func(b *testing.B) {
			conns, stop := serve(b, handler, 0)
			defer stop()
			c := memory.NewConn()
			conns <- c
			b.ReportAllocs()
			for b.Loop() {
				exchange(b, c)
			}
		})
	}
}

// Regression bounds, generous: about half of each was measured with the stream transport.
const (
	mostHeap  = 10000
	mostStack = 10000
)

// idle returns the bytes of heap and of stacks that each of a number of connections holds after one
// message.
func idle(t testing.TB, count int) (heap, stack float64) {
	conns, stop := serve(t, writer{}, 0)
	defer stop()
	all := make([]*memory.Conn, count)
	for i := range all {
		all[i] = memory.NewConn()
	}
	before := inUse()
	for _, c := range all {
		conns <- c
		exchange(t, c)
	}
	after := inUse()
	runtime.KeepAlive(all)
	per := func(after, before uint64) float64 { return (float64(after) - float64(before)) / float64(count) }
	return per(after.HeapAlloc, before.HeapAlloc), per(after.StackInuse, before.StackInuse)
}

func inUse() (m runtime.MemStats) {
	for range 3 { // pools survive one collection, finalizers another
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m
}

func TestAnIdleConnectionIsSmall(t *testing.T) {
	if setup.Raced {
		t.Skip("the race detector has memory of its own")
	}
	heap, stack := idle(t, 2000)
	t.Logf("%.0f bytes of heap and %.0f of stack per idle connection", heap, stack)
	require.Less(t, heap, float64(mostHeap))
	require.Less(t, stack, float64(mostStack))
}

func BenchmarkIdleConnection(b *testing.B) {
	heap, stack := idle(b, 2000) // once for any b.N: no time is measured
	b.ReportMetric(heap, "heap-B/conn")
	b.ReportMetric(stack, "stack-B/conn")
	b.ReportMetric(0, "ns/op")
}

//go:build unix

package memory_test

import (
	"io"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/setup"
)

// On the poll transport a connection needs a socket of the system. The client's end is a bare
// descriptor, so that growth and allocations of the heap are the server's alone.

// Regression bounds, a little above the measured values.
const (
	mostPolledHeap = 1240
	mostChurned    = 18
)

// listen starts a server on the poll transport, on an actor system made for it.
func listen(t testing.TB, handler berth.Handler) (at *unix.SockaddrInet4, stop func()) {
	if !transport.PollSupported {
		t.Skip("no poll transport here")
	}
	system := berth.NewSystem(setup.Silent()...)
	berth.Log(system, slog.New(slog.NewTextHandler(io.Discard, nil))) // as most programs do
	l, err := berth.ListenIn(system.Root, "127.0.0.1:0", berth.Handlers(func() berth.Handler { return handler }),
		berth.Options{Transport: berth.Poll})
	require.NoError(t, err)
	at = &unix.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	return at, func() { require.NoError(t, l.Close()) }
}

// greet connects, sends one message and waits for its echo. It makes no allocation.
func greet(t testing.TB, at *unix.SockaddrInet4, answer []byte) (fd int) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, err)
	must(t, unix.Connect(fd, at))
	_, err = unix.Write(fd, hello)
	must(t, err)
	for got := 0; got < len(hello); {
		n, err := unix.Read(fd, answer[got:])
		must(t, err)
		if n == 0 {
			require.FailNow(t, "the server closed")
		}
		got += n
	}
	return fd
}

// part sends FIN and waits until the server has sent its FIN too.
func part(t testing.TB, fd int, answer []byte) {
	must(t, unix.Shutdown(fd, unix.SHUT_WR))
	if n, err := unix.Read(fd, answer); n != 0 || err != nil {
		require.FailNow(t, "no end", "%d, %v", n, err)
	}
	must(t, unix.Close(fd))
}

func must(t testing.TB, err error) {
	if err != nil {
		require.NoError(t, err)
	}
}

// idlePolled returns the bytes of heap that each of a number of connections holds after one
// message.
func idlePolled(t testing.TB, count int) float64 {
	at, stop := listen(t, forwarder{})
	defer stop()
	answer, fds := make([]byte, len(hello)), make([]int, 0, count)
	before := inUse()
	for range count {
		fds = append(fds, greet(t, at, answer))
	}
	after := inUse()
	for _, fd := range fds {
		part(t, fd, answer)
	}
	runtime.KeepAlive(fds)
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(count)
}

func TestAnIdleConnectionOnThePollTransportIsSmall(t *testing.T) {
	if setup.Raced {
		t.Skip("the race detector has memory of its own")
	}
	heap := idlePolled(t, 2000)
	t.Logf("%.0f bytes of heap per idle connection", heap)
	require.Less(t, heap, float64(mostPolledHeap))
}

func TestAConnectionThatComesAndGoesMakesFewAllocations(t *testing.T) {
	if setup.Raced {
		t.Skip("the race detector's pools drop at random")
	}
	if strconv.IntSize < 64 {
		t.Skip("the figure is that of 64 bits")
	}
	at, stop := listen(t, forwarder{})
	defer stop()
	answer := make([]byte, len(hello))
	allocations := testing.AllocsPerRun(1000, func() { part(t, greet(t, at, answer), answer) })
	t.Logf("%.0f allocations per connection", allocations)
	require.LessOrEqual(t, allocations, float64(mostChurned))
}

func BenchmarkIdlePolledConnection(b *testing.B) {
	b.ReportMetric(idlePolled(b, 2000), "heap-B/conn") // once for any b.N: no time is measured
	b.ReportMetric(0, "ns/op")
}

// BenchmarkChurn measures a connection that opens, gets one message echoed, and closes.
func BenchmarkChurn(b *testing.B) {
	at, stop := listen(b, forwarder{})
	defer stop()
	answer := make([]byte, len(hello))
	b.ReportAllocs()
	for b.Loop() {
		part(b, greet(b, at, answer), answer)
	}
}

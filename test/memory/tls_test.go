//go:build unix

package memory_test

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/setup"
)

// mostSecuredHeap is a regression bound, a little above the measured value.
const mostSecuredHeap = 5 << 10

// descriptor is a blocking socket as a net.Conn.
type descriptor int

func (d descriptor) Read(p []byte) (int, error) {
	n, err := unix.Read(int(d), p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

func (d descriptor) Write(p []byte) (int, error)      { return unix.Write(int(d), p) }
func (d descriptor) Close() error                     { return unix.Close(int(d)) }
func (d descriptor) LocalAddr() net.Addr              { return nil }
func (d descriptor) RemoteAddr() net.Addr             { return nil }
func (d descriptor) SetDeadline(time.Time) error      { return nil }
func (d descriptor) SetReadDeadline(time.Time) error  { return nil }
func (d descriptor) SetWriteDeadline(time.Time) error { return nil }

// usage is what an idle connection costs.
type usage struct{ heap, stacks, goroutines float64 }

// messages that a connection has echoed before it is idle. The large one has whole records.
var messages = map[string][]byte{"small": hello, "large": make([]byte, 64<<10)}

// idleSecured returns what each of a number of TLS connections costs the server after one message.
// The clients' halves of TLS are gone by then, and only their sockets are left.
func idleSecured(t testing.TB, count int, way berth.Transport, message []byte) usage {
	server, trusting := setup.TLS()
	l, err := berth.ListenIn(berth.NewSystem(setup.Silent()...).Root, "127.0.0.1:0", berth.Handlers(func() berth.Handler { return forwarder{} }),
		berth.Options{Transport: way, TLSConfig: server})
	require.NoError(t, err)
	at := &unix.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	connect := func() (fd int) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		must(t, err)
		must(t, unix.Connect(fd, at))
		must(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
		client := tls.Client(descriptor(fd), trusting)
		_, err = client.Write(message)
		must(t, err)
		_, err = io.ReadFull(client, make([]byte, len(message)))
		must(t, err)
		return fd
	}
	fds := []int{connect()}
	before, goroutines := inUse(), runtime.NumGoroutine()
	for range count {
		fds = append(fds, connect())
	}
	after, each := inUse(), float64(count)
	cost := usage{
		heap:       float64(after.HeapAlloc-before.HeapAlloc) / each,
		stacks:     float64(int64(after.StackInuse)-int64(before.StackInuse)) / each,
		goroutines: float64(runtime.NumGoroutine()-goroutines) / each,
	}
	for _, fd := range fds {
		must(t, unix.Close(fd))
	}
	runtime.KeepAlive(fds)
	require.NoError(t, l.Close())
	return cost
}

func TestAnIdleTLSConnectionOnThePollTransportIsSmallAndHasNoGoroutine(t *testing.T) {
	if setup.Raced {
		t.Skip("the race detector has memory of its own")
	}
	if !transport.PollSupported {
		t.Skip("no poll transport here")
	}
	for size, message := range messages {
		t.Run(size, func(t *testing.T) {
			cost := idleSecured(t, 1000, berth.Poll, message)
			t.Logf("%.0f bytes of heap, %.0f of stacks, %.3f goroutines per idle TLS connection", cost.heap, cost.stacks, cost.goroutines)
			require.Less(t, cost.heap, float64(mostSecuredHeap))
			assert.Less(t, cost.goroutines, 0.02)
		})
	}
}

func BenchmarkIdleTLSConnection(b *testing.B) {
	for name, way := range map[string]berth.Transport{"poll": berth.Poll, "stream": berth.Stream} {
		for size, message := range messages {
			b.Run(name+"/"+size, func(b *testing.B) {
				cost := idleSecured(b, 1000, way, message)
				b.ReportMetric(cost.heap, "heap-B/conn")
				b.ReportMetric(cost.stacks, "stack-B/conn")
				b.ReportMetric(cost.goroutines, "goroutines/conn")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

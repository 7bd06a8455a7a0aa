// Package cycle_test measures one cycle of a server: an event, the read, the handler, the write and
// the release of what was held. Mailboxes, event loop, connection, writer and poll transport are
// the real ones. The client is in the same process, on the goroutine that polls: before each poll
// it takes the answers and sends the next messages. So no thread is woken, and the figures scatter
// less than those of two processes.
//
// With the build tag berthcycle the sockets are in memory: what is left is the user time of one
// message, and that of the client, about 10 ns. Without it they are unix sockets, or TCP on
// loopback, and the system calls of both sides count.
package cycle_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
)

// client is the other end of a connection.
type client interface {
	// Exchange takes the answer to the last message and sends the next one. It returns false, and
	// does nothing, if the whole answer has not come.
	Exchange() bool
	End()
}

// clients is a poll set in which a number of clients send messages: before each poll as many of
// them as one poll returns events for.
type clients struct {
	*transport.PollSet
	all  []client
	next int           // the one that is first before the next poll
	left atomic.Int64  // messages to be sent
	over chan struct{} // all are sent, and answered
	busy bool
}

const pollBatch = 64

// Wait implements tcpactor.Poller.
func (c *clients) Wait(block bool) int {
	left := c.left.Load()
	if left > 0 {
		sent := int64(0)
		for range min(pollBatch, len(c.all)) {
			if sent < left && c.all[c.next].Exchange() {
				sent++
			}
			if c.next++; c.next == len(c.all) {
				c.next = 0
			}
		}
		c.busy = true
		c.left.Store(left - sent)
		return c.PollSet.Wait(false)
	}
	if n := c.PollSet.Wait(false); n > 0 || !block {
		return n
	}
	if c.busy {
		c.busy = false
		c.over <- struct{}{}
	}
	return c.PollSet.Wait(true)
}

// run sends n messages and waits for the answers.
func (c *clients) run(n int) {
	c.left.Store(int64(n))
	c.Wake()
	<-c.over
}

// echo answers as the echo example does.
func echo(s protocol.Socket, b *protocol.Buffer) error {
	_, err := s.Forward(b)
	return err
}

// serve starts the parts of a server around one worker, with so many connections. Each message is
// one read's.
func serve(t testing.TB, network string, connections, bytes int) (c *clients, end func()) {
	set, err := transport.NewPollSet()
	require.NoError(t, err)
	c = &clients{PollSet: set, over: make(chan struct{})}
	loop := tcpactor.NewEventLoop(c, 1)
	system := tcpactor.NewSystem(setup.Silent()...)
	parent := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
	ended := make(chan struct{}, connections)
	options := connection.Options{}.WithDefaults()
	spawner := connection.NewSpawner(connection.Config{
		System: system, Parent: parent, Factory: tcpactor.HandlerFunc(echo), Options: options,
		Dispatchers: []actor.Dispatcher{loop}, Publish: func(any) {},
		Ended: func(*connection.Connection) { ended <- struct{}{} }, Counted: func(int) {},
	})
	permit := &connection.Permit{Leave: func() {}}
	all := make([]client, connections)
	var ends []func()
	for i := range all {
		here, there := pair(t, network)
		polled, err := transport.Adopt(set, here)
		require.NoError(t, err)
		spawner.Spawn(polled, 0, permit)
		ends = append(ends, func() { _ = unix.Close(there) })
		greet(t, there)
		all[i] = newClient(polled, there, message(bytes))
	}
	c.all = all
	return c, func() {
		for i, end := range ends {
			all[i].End()
			end()
		}
		for range all {
			<-ended
		}
		system.Root.Stop(parent)
		loop.Close()
		loop.Wait()
		set.Close()
	}
}

func message(n int) []byte { return bytes.Repeat([]byte{'m'}, n) }

// greet sends a message and waits for its echo: the connection is open then, and watched.
func greet(t testing.TB, fd int) {
	require.NoError(t, unix.SetNonblock(fd, false))
	_, err := unix.Write(fd, []byte("hello"))
	require.NoError(t, err)
	n, err := unix.Read(fd, make([]byte, 64))
	require.NoError(t, err)
	require.Equal(t, 5, n)
}

// pair returns two ends of a connection.
func pair(t testing.TB, network string) (here net.Conn, there int) {
	if network == "tcp" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		there, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Connect(there, &unix.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}))
		require.NoError(t, unix.SetsockoptInt(there, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
		here, err = l.Accept()
		require.NoError(t, err)
		require.NoError(t, l.Close())
		return here, there
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	file := os.NewFile(uintptr(fds[0]), "pair")
	here, err = net.FileConn(file)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return here, fds[1]
}

// BenchmarkCycle measures by processor time beside the time that went by: other processes take none
// of it.
func BenchmarkCycle(b *testing.B) {
	for _, network := range networks {
		for _, load := range []struct{ connections, deep int }{{1, 1}, {50, 1}, {1000, 1}, {50, 16}} {
			name := fmt.Sprintf("%s/%d", network, load.connections)
			if load.deep > 1 {
				name += fmt.Sprintf("x%d", load.deep)
			}
			b.Run(name, func(b *testing.B) {
				c, end := serve(b, network, load.connections, 64*load.deep)
				defer end()
				c.run(10 * load.connections)
				b.ReportAllocs()
				b.ResetTimer()
				before := used(b)
				c.run(b.N)
				b.ReportMetric(float64(used(b)-before)/float64(b.N), "cpu-ns/op")
				b.StopTimer()
			})
		}
	}
}

// used returns the processor time of this process, in nanoseconds.
func used(t testing.TB) int64 {
	var at unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &at))
	return at.Nano()
}

// Every message is answered, on every network of this build.
func TestEveryMessageIsAnswered(t *testing.T) {
	for _, network := range networks {
		for _, bytes := range []int{64, 1024} {
			c, end := serve(t, network, 70, bytes)
			c.run(1000)
			require.Zero(t, c.left.Load(), strings.ToUpper(network))
			end()
		}
	}
}

package storm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/report"
)

// G15 under load, W1 to W4: room is reported, healthy peers keep their connections, and writes that
// wait for room lose nothing.

// site is a listener on one network and transport.
type site struct {
	*berth.Server
	system *actor.ActorSystem
}

func (s *site) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial(s.Addr().Network(), s.Addr().String())
	require.NoError(t, err)
	_ = conn.SetDeadline(time.Now().Add(10 * patience))
	return conn
}

// overSites runs a test over TCP and unix sockets, over both transports.
func overSites(t *testing.T, h handler, o berth.ConnectionOptions, test func(t *testing.T, s *site)) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(network, func(t *testing.T) {
				address := "127.0.0.1:0"
				if network == "unix" {
					if runtime.GOOS == "windows" {
						t.Skip("not on windows")
					}
					address = setup.SocketPath(t)
				}
				l, system := listenOnly(t, address, factoryOf(h), berth.Options{Network: network, Transport: transport, Connection: o})
				t.Cleanup(func() { require.NoError(t, l.Close()) })
				test(t, &site{l, system})
			})
		}
	})
}

// W1: a handler writes until a write is refused, computes for a while, returns, and waits for
// Writable. The client begins to read once a write was refused: one that reads all the time may be
// faster than the handler, and then no write is refused.
func TestNoRefusedWriterStalls(t *testing.T) {
	for _, pause := range []time.Duration{0, 10 * time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
		t.Run(pause.String(), func(t *testing.T) {
			began, rounds := time.Now(), max(10, of(200))
			refused := make(chan struct{}, 1)
			h := handler{
				data: func(s berth.Socket, b *berth.Buffer) error {
					b.Discard(b.Len())
					for {
						if _, err := s.Write(make([]byte, 1000)); err != nil {
							break
						}
					}
					refused <- struct{}{}
					for computes := time.Now(); time.Since(computes) < pause; {
					}
					return nil
				},
				writable: func(s berth.Socket, ready bool) error {
					if ready {
						return s.Close()
					}
					return nil
				},
			}
			overSites(t, h, berth.ConnectionOptions{}, func(t *testing.T, s *site) {
				stalled := 0
				for range rounds {
					conn := s.dial(t)
					_, err := conn.Write([]byte("?"))
					require.NoError(t, err)
					<-refused
					_ = conn.SetReadDeadline(time.Now().Add(patience))
					if _, err := io.Copy(io.Discard, conn); err != nil {
						stalled++
					}
					_ = conn.Close()
				}
				assert.Zero(t, stalled)
				tell(t, report.Row{ID: "W1", Holds: "G15", Figures: map[string]any{"rounds": rounds, "stalled": stalled, "pause": pause.String()}}, began)
			})
		})
	}
}

// W2: bursts of small writes to clients that read at once, under the policy that closes slow ones.
func TestNoBurstClosesAHealthyPeer(t *testing.T) {
	began, connections := time.Now(), max(10, of(100))
	line := []byte("a line as it is said in a room\n")
	sockets := make(chan berth.Socket, 1)
	burst := func(s berth.Socket, n int) error {
		for i := range n {
			if _, err := s.Write(line); err != nil {
				return fmt.Errorf("write %d of %d: %w", i, n, err)
			}
		}
		return nil
	}
	h := handler{
		accepted: func(s berth.Socket) error { sockets <- s; return nil },
		message:  func(s berth.Socket, message any) error { return burst(s, message.(int)) },
	}
	overSites(t, h, berth.ConnectionOptions{SlowConsumer: berth.SlowClose}, func(t *testing.T, s *site) {
		// More than the kernel takes from a writer that is faster than its client is refused. Linux
		// takes 278 such lines of a unix socket: it counts each as 766 bytes.
		sure := 1000
		if s.Addr().Network() == "unix" {
			sure = 200
		}
		for way, write := range map[string]func(berth.Socket, int){
			"Socket":  func(socket berth.Socket, n int) { _ = burst(socket, n) },
			"handler": func(socket berth.Socket, n int) { s.system.Root.Send(socket.PID(), n) },
			"PID": func(socket berth.Socket, n int) {
				for range n {
					s.system.Root.Send(socket.PID(), &berth.Write{Data: line})
				}
			},
		} {
			for _, n := range []int{65, 200, 1000, 10_000} {
				closed := 0
				for range connections {
					conn := s.dial(t)
					go write(<-sockets, n)
					if _, err := io.CopyN(io.Discard, conn, int64(n*len(line))); err != nil {
						closed++
					}
					_ = conn.Close()
				}
				if n <= sure {
					assert.Zero(t, closed, "%s, bursts of %d", way, n)
				}
				tell(t, report.Row{ID: "W2", Holds: "G15", Figures: map[string]any{"way": way, "burst": n, "connections": connections, "closed": closed}}, began)
			}
		}
	})
}

// stream is n bytes that a seed determines.
func stream(seed uint64, n int64) io.Reader {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	return io.LimitReader(source, n)
}

func sum(t *testing.T, r io.Reader) [sha256.Size]byte {
	h := sha256.New()
	_, err := io.Copy(h, r)
	assert.NoError(t, err)
	return [sha256.Size]byte(h.Sum(nil))
}

// flat watches how much more memory the process takes than at first.
func flat(t *testing.T, most uint64) (check func() uint64) {
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	return func() uint64 {
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		grown := now.HeapSys - min(now.HeapSys, before.HeapSys)
		assert.Less(t, grown, most, "the heap grows with what is written")
		return grown
	}
}

// W3: io.Copy of a gigabyte into a connection, from its handler and from another goroutine.
func TestIOCopyIntoAConnectionKeepsEveryByteAndMemoryFlat(t *testing.T) {
	began, size := time.Now(), int64(of(1<<30))
	seed := drawSeed(t)
	want := sum(t, stream(seed, size))
	copyTo := func(s berth.Socket) error {
		_, err := io.Copy(s.Writer(context.Background()), struct{ io.Reader }{stream(seed, size)})
		return errors.Join(err, s.Close())
	}
	sockets := make(chan berth.Socket, 1)
	h := handler{
		accepted: func(s berth.Socket) error { sockets <- s; return nil },
		data: func(s berth.Socket, b *berth.Buffer) error {
			b.Discard(b.Len())
			return copyTo(s)
		},
	}
	overSites(t, h, berth.ConnectionOptions{}, func(t *testing.T, s *site) {
		for where, start := range map[string]func(berth.Socket, net.Conn){
			"handler":           func(_ berth.Socket, conn net.Conn) { _, _ = conn.Write([]byte("?")) },
			"another goroutine": func(socket berth.Socket, _ net.Conn) { go func() { assert.NoError(t, copyTo(socket)) }() },
		} {
			check := flat(t, 64<<20)
			conn := s.dial(t)
			start(<-sockets, conn)
			assert.Equal(t, want, sum(t, conn), where)
			_ = conn.Close()
			tell(t, report.Row{ID: "W3", Holds: "G15 G3", Figures: map[string]any{"bytes": size, "from": where, "heap": check()}}, began)
		}
	})
}

// W4: two connections are joined by Writable alone. Each writes the bytes that the other reads. The
// reader pauses while a write is refused.
func TestConnectionsJoinedByWritableMoveEverythingBothWays(t *testing.T) {
	began, size := time.Now(), int64(of(1<<30))
	seed := drawSeed(t)
	var pairs sync.Map // socket to socket
	sockets := make(chan berth.Socket, 2)
	var refused atomic.Int64
	other := func(s berth.Socket) berth.Socket {
		to, _ := pairs.Load(s)
		return to.(berth.Socket)
	}
	h := handler{
		accepted: func(s berth.Socket) error { sockets <- s; return nil },
		data: func(s berth.Socket, b *berth.Buffer) error {
			s.Pause() // before the write: the other's Writable may come before this call goes on
			_, err := other(s).Forward(b)
			if errors.Is(err, berth.ErrWriteBufferFull) || errors.Is(err, berth.ErrWriteQueueFull) {
				refused.Add(1)
				return nil
			}
			s.Resume()
			return err
		},
		writable: func(s berth.Socket, ready bool) error {
			if ready {
				other(s).Resume()
			}
			return nil
		},
	}
	overSites(t, h, berth.ConnectionOptions{ReadGate: berth.GateOff}, func(t *testing.T, s *site) {
		refused.Store(0)
		a, one := s.dial(t), <-sockets
		b, two := s.dial(t), <-sockets
		pairs.Store(one, two)
		pairs.Store(two, one)
		want := sum(t, stream(seed, size))
		check := flat(t, 64<<20)
		var ends sync.WaitGroup
		for from, to := range map[net.Conn]net.Conn{a: b, b: a} {
			ends.Go(func() {
				_, err := io.Copy(from, struct{ io.Reader }{stream(seed, size)})
				assert.NoError(t, err)
			})
			ends.Go(func() { assert.Equal(t, want, sum(t, io.LimitReader(to, size))) })
		}
		ends.Wait()
		_, _ = a.Close(), b.Close()
		tell(t, report.Row{ID: "W4", Holds: "G15 G2 G3", Figures: map[string]any{"bytes": size, "refused": refused.Load(), "heap": check()}}, began)
	})
}

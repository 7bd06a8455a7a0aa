package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/internal/program"
	"github.com/go-berth/berth/internal/setup"
)

func TestMain(m *testing.M) { setup.Main(m) }

// site is a proxy, and the server behind it: a listener of the test's own.
type site struct {
	t      *testing.T
	server *berth.Server
	behind net.Listener
}

func (s *site) addr() string { return s.server.Addr().String() }

// open serves until the test ends. By then nothing may be left.
func open(t *testing.T, o berth.Options) *site {
	t.Helper()
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = behind.Close() })
	return &site{t, serve(t, o, behind.Addr().String()), behind}
}

func serve(t *testing.T, o berth.Options, to string) *berth.Server {
	t.Helper()
	proxy := newProxy(to, time.Second)
	server, err := berth.ListenIn(setup.System().Root, "127.0.0.1:0", proxy.handlers(), o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	proxy.use(server)
	return server
}

// connect opens a connection through the proxy and returns its two far ends. buffer, if not 0, is
// the size of the kernel's receive buffer at the client.
func (s *site) connect(buffer int) (client, behind *net.TCPConn) {
	s.t.Helper()
	client = program.DialTCP(s.t, s.addr())
	if buffer > 0 {
		require.NoError(s.t, client.SetReadBuffer(buffer))
	}
	conn, err := s.behind.Accept()
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(program.Limit)))
	return client, conn.(*net.TCPConn)
}

// quiet waits until the proxy has no connection left, neither accepted nor dialled.
func (s *site) quiet() {
	s.t.Helper()
	setup.Eventually(s.t, func() bool { return len(s.server.Connections()) == 0 })
}

// each runs a test with the program's options, and with the sizes that are Berth's defaults.
func each(t *testing.T, test func(t *testing.T, s *site)) {
	stream, defaults := options(-1), options(-1)
	stream.Transport = berth.Stream
	defaults.Connection.ReadBufferSize, defaults.Connection.WriteBufferSize, defaults.Connection.CloseTimeout = 0, 0, 0
	for name, o := range map[string]berth.Options{"auto": options(-1), "stream": stream, "default sizes": defaults} {
		t.Run(name, func(t *testing.T) { test(t, open(t, o)) })
	}
}

// stream is n bytes that a seed determines.
func stream(seed uint64, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}), n)
}

type sum [sha256.Size]byte

// digest reads to the end.
func digest(r io.Reader) (sum, int64, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{r}, make([]byte, 32<<10))
	return sum(h.Sum(nil)), n, err
}

// assertArrives requires that r gives n bytes of the seed and then ends.
func assertArrives(t *testing.T, seed uint64, n int64, r io.Reader) {
	t.Helper()
	want, _, err := digest(stream(seed, n))
	assert.NoError(t, err)
	got, came, err := digest(r)
	assert.NoError(t, err)
	assert.Equal(t, n, came, "bytes")
	assert.Equal(t, want, got, "other bytes than were sent")
}

// send writes n bytes of the seed and then a FIN.
func send(conn *net.TCPConn, seed uint64, n int64) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{conn}, stream(seed, n), make([]byte, 32<<10))
	return errors.Join(err, conn.CloseWrite())
}

func TestEverythingCrossesBothWaysAtOnce(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		const size = 2 << 20
		client, behind := s.connect(0)
		var ends sync.WaitGroup
		ends.Go(func() { assert.NoError(t, send(client, 1, size)) })
		ends.Go(func() { assert.NoError(t, send(behind, 2, size)) })
		ends.Go(func() { assertArrives(t, 1, size, behind) })
		ends.Go(func() { assertArrives(t, 2, size, client) })
		ends.Wait()
		s.quiet()
	})
}

// A direction ends, and the other one goes on: bytes that are sent long after the FIN arrive.
func TestAHalfCloseCrosses(t *testing.T) {
	for _, first := range []string{"client", "server behind"} {
		t.Run(first, func(t *testing.T) {
			each(t, func(t *testing.T, s *site) {
				one, other := s.connect(0)
				if first != "client" {
					one, other = other, one
				}
				var sending sync.WaitGroup
				sending.Go(func() { assert.NoError(t, send(one, 1, 1<<20)) })
				assertArrives(t, 1, 1<<20, other)
				sending.Wait()
				var answering sync.WaitGroup
				answering.Go(func() { assert.NoError(t, send(other, 3, 1<<20)) })
				assertArrives(t, 3, 1<<20, one)
				answering.Wait()
				s.quiet()
			})
		})
	}
}

// sendUntilStuck writes until the connection has taken nothing for a while. It returns how much it
// has taken.
func sendUntilStuck(t *testing.T, conn *net.TCPConn, seed uint64) (taken int64) {
	piece := make([]byte, 64<<10)
	source := stream(seed, 1<<40)
	for {
		_, _ = io.ReadFull(source, piece)
		require.NoError(t, conn.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
		n, err := conn.Write(piece)
		taken += int64(n)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return taken
		}
		require.NoError(t, err)
	}
}

// A client that does not read stops the server behind, and only that direction. Once it reads,
// every byte arrives.
func TestBackPressureCrossesInOneDirectionOnly(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		client, behind := s.connect(128 << 10)
		taken := sendUntilStuck(t, behind, 1)
		t.Logf("%d KiB were taken for a client that does not read", taken>>10)
		for _, socket := range s.server.Connections() {
			assert.LessOrEqual(t, socket.Info().QueuedBytes, 128<<10)
		}
		var sending sync.WaitGroup
		sending.Go(func() { assert.NoError(t, send(client, 2, 2<<20)) })
		assertArrives(t, 2, 2<<20, behind)
		sending.Wait()

		require.NoError(t, behind.CloseWrite())
		assertArrives(t, 1, taken, client)
		s.quiet()
	})
}

// Both peers send and read nothing until both are stuck. Nothing is lost, and both go on.
func TestTwoPeersThatDoNotRead(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		client, behind := s.connect(128 << 10)
		var stuck sync.WaitGroup
		var up, down atomic.Int64
		stuck.Go(func() { up.Store(sendUntilStuck(t, client, 1)) })
		stuck.Go(func() { down.Store(sendUntilStuck(t, behind, 2)) })
		stuck.Wait()
		var ends sync.WaitGroup
		require.NoError(t, client.CloseWrite())
		require.NoError(t, behind.CloseWrite())
		ends.Go(func() { assertArrives(t, 1, up.Load(), behind) })
		ends.Go(func() { assertArrives(t, 2, down.Load(), client) })
		ends.Wait()
		s.quiet()
	})
}

func TestAResetCrosses(t *testing.T) {
	for _, first := range []string{"client", "server behind"} {
		t.Run(first, func(t *testing.T) {
			each(t, func(t *testing.T, s *site) {
				one, other := s.connect(0)
				if first != "client" {
					one, other = other, one
				}
				_, err := one.Write([]byte("hello"))
				require.NoError(t, err)
				hello := make([]byte, 5)
				_, err = io.ReadFull(other, hello)
				require.NoError(t, err)
				require.NoError(t, one.SetLinger(0))
				require.NoError(t, one.Close())
				_, err = other.Read(hello)
				assert.ErrorIs(t, err, syscall.ECONNRESET)
				s.quiet()
			})
		})
	}
}

// A client whose other connection cannot be opened is closed, and no other one notices.
func TestTheServerBehindIsNotThere(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		good, behind := s.connect(0)
		require.NoError(t, s.behind.Close())
		conn := program.DialTCP(t, s.addr())
		_, err := io.Copy(io.Discard, conn)
		require.NoError(t, err, "closed, not reset")
		require.NoError(t, conn.Close())
		_, err = good.Write([]byte("hello"))
		require.NoError(t, err)
		hello := make([]byte, 5)
		_, err = io.ReadFull(behind, hello)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(hello))
		_, _ = good.Close(), behind.Close()
		s.quiet()
	})
}

var seed = flag.Uint64("seed", 0, "of what the clients of TestClientsThatComeAndGo do; 0: one is drawn, and printed")

// Clients and the server behind close, half-close and reset at random moments, in the middle of
// what they send. Where neither breaks off both directions are whole, and nothing is left.
func TestClientsThatComeAndGo(t *testing.T) {
	n := *seed
	if n == 0 {
		n = rand.Uint64N(1 << 32)
	}
	t.Logf("again: -run TestClientsThatComeAndGo -seed %d", n)
	each(t, func(t *testing.T, s *site) {
		random := rand.New(rand.NewPCG(n, 0))
		var conversations sync.WaitGroup
		for range 20 {
			var ends [10][2]*net.TCPConn
			for i := range ends { // one after the other: which two belong together is known by that
				ends[i][0], ends[i][1] = s.connect(0)
			}
			for _, pair := range ends {
				var size [2]int64
				for i := range pair {
					size[i] = random.Int64N(1 << random.IntN(20))
				}
				breaks, reset, after := random.IntN(3), random.IntN(2) == 0, random.Int64N(1<<17) // 2: none breaks off
				var both sync.WaitGroup
				for i, conn := range pair {
					both.Go(func() {
						err := send(conn, uint64(i), size[i])
						assert.True(t, err == nil || breaks < 2, "%v", err)
					})
					both.Go(func() {
						switch {
						case breaks == i:
							_, _ = io.CopyN(io.Discard, conn, after)
							if reset {
								_ = conn.SetLinger(0)
							}
							_ = conn.Close()
						case breaks < 2:
							_, _ = io.Copy(io.Discard, conn)
							_ = conn.Close()
						default:
							assertArrives(t, uint64(1-i), size[1-i], conn)
						}
					})
				}
				conversations.Go(func() {
					both.Wait()
					_, _ = pair[0].Close(), pair[1].Close()
				})
			}
			conversations.Wait()
		}
		s.quiet()
	})
}

func TestTheProgram(t *testing.T) {
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer behind.Close()
	path := program.Build(t, ".")
	p := program.Start(t, path, "-listen", "127.0.0.1:0", "-to", behind.Addr().String())
	client := program.DialTCP(t, p.Addr(t))
	server, err := behind.Accept()
	require.NoError(t, err)
	defer server.Close()
	_, err = server.Write([]byte("hello"))
	require.NoError(t, err)
	hello := make([]byte, 5)
	_, err = io.ReadFull(client, hello)
	require.NoError(t, err)
	p.Signal(t, os.Interrupt)
	p.AwaitStderr(t, "msg=draining")
	for _, conn := range []net.Conn{client, server} {
		rest, err := io.ReadAll(conn)
		assert.NoError(t, err, "closed, not reset")
		assert.Empty(t, rest)
		_ = conn.Close()
	}
	assert.Zero(t, p.Wait(t), "standard error: %q", p.Stderr())

	for want, arguments := range map[string][]string{
		`proxy: unexpected argument "now"`:                      {"now"},
		"proxy: -to: address nonsense: missing port in address": {"-to", "nonsense"},
	} {
		p := program.Start(t, path, arguments...)
		assert.Equal(t, 1, p.Wait(t))
		assert.Equal(t, []string{want}, p.Stderr())
	}
}

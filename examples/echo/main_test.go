package main

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	transports "github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/examples/internal/program"
)

// TestEcho uses the program as its user would: it is built once, and every test starts it anew.
func TestEcho(t *testing.T) {
	path := program.Build(t, ".")
	t.Run("refuses what is wrong with one sentence", func(t *testing.T) { refuses(t, path) })
	t.Run("serves TLS and loads its certificate again", func(t *testing.T) { servesTLS(t, path) })
	for _, transport := range []string{"poll", "stream"} {
		if transport == "poll" && !transports.PollSupported {
			continue
		}
		for _, test := range []struct {
			says string
			run  func(t *testing.T, echo starter)
		}{
			{"says one line and sends lines back", says},
			{"serves a unix socket", servesUnix},
			{"shows itself to a browser with -inspect", shows},
			{"takes the client's address from a trusted proxy", servesProxies},
			{"turns clients away with -when-full reject", rejects},
			{"lets a client wait for -max-wait", letsWait},
			{"closes idle clients", closesIdle},
			{"closes silent clients", closesSilent},
			{"resets clients that never read", resetsDeaf},
			{"serves the next client while one does not close", servesTheNext},
			{"delays only the client whose handler sleeps", sleeps},
			{"sends 20 MB in random pieces back", sendsEverything},
			{"sends whole replies after a half-close", repliesAfterHalfClose},
			{"is not harmed by clients that never read", survivesDeafClients},
			{"keeps its memory budget", keepsItsBudget},
			{"keeps no descriptor of reset connections", forgetsResets},
			{"makes no record of clients that do not wait for their echo", ignoresHurry},
			{"drains on SIGTERM", drains},
			{"aborts on a second signal", abortsOnSecondSignal},
		} {
			t.Run(transport+" "+test.says, func(t *testing.T) {
				test.run(t, func(arguments ...string) *program.Program {
					return program.Start(t, path, append([]string{"-transport", transport, "-addr", "127.0.0.1:0"}, arguments...)...)
				})
			})
		}
	}
}

// starter runs the program on a free port, unless the arguments say otherwise.
type starter func(arguments ...string) *program.Program

// servesProxies: the header is not sent back, what follows it is, and a peer that is no proxy is
// turned away.
func servesProxies(t *testing.T, echo starter) {
	p := echo("-proxy-protocol", "192.0.2.0/24,127.0.0.0/8")
	conn := program.DialTCP(t, p.Addr(t))
	_, err := io.WriteString(conn, "PROXY TCP4 203.0.113.9 198.51.100.1 5555 443\r\nhello\n")
	require.NoError(t, err)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "hello\n", answer)
	_, err = io.WriteString(program.DialTCP(t, p.Addr(t)), "hello\n")
	require.NoError(t, err)
	p.AwaitStderr(t, `level=INFO msg="handshake failed"`)
	p.AwaitStderr(t, "proxy protocol signature not present")

	q := echo("-proxy-protocol", "192.0.2.0/24")
	_, err = io.Copy(io.Discard, program.DialTCP(t, q.Addr(t)))
	assert.NoError(t, err, "closed, without having sent anything")
	q.AwaitStderr(t, `reason="no trusted proxy"`)
}

// says: standard output is one line, events are slog's text on standard error, and what is typed
// comes back.
func says(t *testing.T, echo starter) {
	p := echo()
	addr := p.Addr(t)
	conn := program.DialTCP(t, addr)
	lines := bufio.NewReader(conn)
	for _, line := range []string{"hello\n", "\n", "a line that comes\r\n"} {
		_, err := io.WriteString(conn, line)
		require.NoError(t, err)
		answer, err := lines.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, line, answer)
	}
	p.AwaitStderr(t, `level=INFO msg=listening addr=`+addr)
	conn.Close()
	p.Signal(t, os.Interrupt)
	assert.Zero(t, p.Wait(t))
	assert.Equal(t, []string{"listening on " + addr}, p.Stdout())
}

// ignoresHurry: a client that closes before it has read its echo resets the connection. No handler
// has failed then.
func ignoresHurry(t *testing.T, echo starter) {
	p := echo()
	addr := p.Addr(t)
	for range 100 {
		conn := program.DialTCP(t, addr)
		_, err := conn.Write(make([]byte, 20<<10))
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1))
		require.NoError(t, err)
		conn.Close() // the rest of the echo is unread
	}
	p.Signal(t, os.Interrupt)
	assert.Zero(t, p.Wait(t))
	assert.NotContains(t, strings.Join(p.Stderr(), "\n"), "handler failed")
}

func servesUnix(t *testing.T, echo starter) {
	socket := filepath.Join(t.TempDir(), "s")
	p := echo("-network", "unix", "-addr", socket)
	assert.Equal(t, socket, p.Addr(t))
	assertEchoes(t, program.Dial(t, "unix", socket), "over a path")
	if runtime.GOOS != "linux" {
		return
	}
	p.Signal(t, os.Kill)
	p.Wait(t)
	require.FileExists(t, socket)
	p = echo("-network", "unix", "-addr", socket)
	assert.Equal(t, socket, p.Addr(t), "the path that the killed process left is taken over")
	assertEchoes(t, program.Dial(t, "unix", socket), "over the same path")
}

func assertEchoes(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(program.Limit)))
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
	answer := make([]byte, len(text))
	_, err = io.ReadFull(conn, answer)
	require.NoError(t, err)
	assert.Equal(t, text, string(answer))
}

func refuses(t *testing.T, path string) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, test := range []struct{ arguments, says string }{
		{"-no-such-flag", "not defined: -no-such-flag"},
		{"-addr", "needs an argument: -addr"},
		{"-addr nonsense", "nonsense"},
		{"-addr=", "berth: the address is empty: give"},
		{"-addr=0.0.0.0:", `berth: the address "0.0.0.0:" has no port`},
		{"-network unix -addr=", "berth: the address is empty: give the path of the unix socket"},
		{"-addr 127.0.0.1:99999", "99999"},
		{"-addr " + taken.Addr().String(), "address already in use"},
		{"-network carrier-pigeon", `"carrier-pigeon" is neither tcp nor unix`},
		{"-network unix -addr /no/such/directory/s", "/no/such/directory/s"},
		{"-transport teleport", `"teleport" for flag -transport`},
		{"-when-full panic", `"panic" for flag -when-full`},
		{"-read-buffer-size much", `"much" for flag -read-buffer-size`},
		{"-read-buffer-size -1", "ReadBufferSize cannot be off"},
		{"-write-buffer-size 9999999999999", "WriteBufferSize 9999999999999 is over"},
		{"-write-queue-size 99999999", "WriteQueueSize 99999999 is over"},
		{"-idle-timeout soon", `"soon" for flag -idle-timeout`},
		{"-tls-cert cert.pem", "-tls-cert and -tls-key go together"},
		{"-tls-cert /no/such/file -tls-key /no/such/file", `berth: the certificate of "/no/such/file" and "/no/such/file" cannot be loaded: open /no/such/file`},
		{"-inspect-actions", "-inspect-actions needs -inspect"},
		{"-inspect nonsense", "echo: -inspect: listen tcp"},
		{"-workers -1", "Workers -1 must not be negative"},
		{"-proxy-protocol 10.0.0.0", `"10.0.0.0" is no prefix`},
		{"-proxy-protocol unix", "needs TrustedProxies"},
		{"-network unix -addr s -proxy-protocol 10.0.0.0/8", "needs TrustUnix"},
		{"-sleep long", `"long" for flag -sleep`},
		{"-memory-budget much", `"much" for flag -memory-budget`},
		{"-memory-budget 1000", "MemoryBudget 1000 has a high water of 800"},
		{"-max-wait 1s -when-full reject", "MaxWait 1s needs WhenFull Wait"},
		{"-max-wait soon", `"soon" for flag -max-wait`},
		{"-send-buffer-size much", `"much" for flag -send-buffer-size`},
		{"-max-connections 1.5", `"1.5" for flag -max-connections`},
		{"serve", `unexpected argument "serve"`},
	} {
		if strconv.IntSize < 64 && strings.Contains(test.arguments, "9999999999999") {
			test.says = "value out of range"
		}
		t.Run(test.arguments, func(t *testing.T) {
			p := program.Start(t, path, strings.Fields(test.arguments)...)
			assert.NotZero(t, p.Wait(t))
			assert.Empty(t, p.Stdout())
			require.Len(t, p.Stderr(), 1, "%q", p.Stderr())
			assert.Contains(t, p.Stderr()[0], test.says)
		})
	}
}

func rejects(t *testing.T, echo starter) {
	p := echo("-max-connections", "1", "-when-full", "reject")
	addr := p.Addr(t)
	first := program.DialTCP(t, addr)
	assertEchoes(t, first, "first")
	_, err := program.DialTCP(t, addr).Read(make([]byte, 1))
	assert.Error(t, err, "the second client is turned away")
	p.AwaitStderr(t, "rejected")
	assertEchoes(t, first, "still here")
}

// letsWait: a permit that comes free in time is the client's, and without one it is turned away.
func letsWait(t *testing.T, echo starter) {
	p := echo("-max-connections", "1", "-max-wait", "30s", "-send-buffer-size", "65536", "-recv-buffer-size", "65536")
	first, second := program.DialTCP(t, p.Addr(t)), program.DialTCP(t, p.Addr(t))
	assertEchoes(t, first, "first")
	first.Close()
	assertEchoes(t, second, "second")

	p = echo("-max-connections", "1", "-max-wait", "100ms")
	first = program.DialTCP(t, p.Addr(t))
	assertEchoes(t, first, "first")
	_, err := io.Copy(io.Discard, program.DialTCP(t, p.Addr(t)))
	assert.NoError(t, err, "closed")
	p.AwaitStderr(t, "rejected")
	assertEchoes(t, first, "still here")
}

// closesIdle: not before the 500 ms, and not long after.
func closesIdle(t *testing.T, echo starter) {
	for _, network := range []string{"tcp", "unix"} {
		addr := "127.0.0.1:0"
		if network == "unix" {
			addr = filepath.Join(t.TempDir(), "s")
		}
		addr = echo("-idle-timeout", "500ms", "-network", network, "-addr", addr).Addr(t)
		best := program.Limit // of three: a busy machine may be late, but hardly every time
		for range 3 {
			conn := program.Dial(t, network, addr)
			began := time.Now()
			assertEchoes(t, conn, "not idle yet")
			idle := time.Now()
			_, err := conn.Read(make([]byte, 1))
			assert.Equal(t, io.EOF, err, "an idle connection ends in an orderly way")
			assert.Greater(t, time.Since(began), 400*time.Millisecond, network)
			best = min(best, time.Since(idle))
			conn.Close()
		}
		assert.Less(t, best, 1500*time.Millisecond, network)
		t.Logf("%s: closed %v after the last byte", network, best.Round(time.Millisecond))
	}
}

func closesSilent(t *testing.T, echo starter) {
	addr := echo("-read-timeout", "200ms", "-idle-timeout", "-1s").Addr(t)
	conn := program.DialTCP(t, addr)
	assertEchoes(t, conn, "not silent yet")
	_, err := conn.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err, "in an orderly way")
}

func resetsDeaf(t *testing.T, echo starter) {
	addr := echo("-write-timeout", "200ms", "-idle-timeout", "-1s").Addr(t)
	conn := program.DialTCP(t, addr)
	require.NoError(t, conn.SetReadBuffer(4<<10))
	sendForEver(conn, func() {}) // returns once the connection has ended
}

// servesTheNext: there is one permit, and the client that had it does not close.
func servesTheNext(t *testing.T, echo starter) {
	addr := echo("-max-connections", "1", "-idle-timeout", "200ms", "-close-timeout", "-1s", "-linger-timeout", "-1s").Addr(t)
	first, second := program.DialTCP(t, addr), program.DialTCP(t, addr)
	_, err := first.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
	assertEchoes(t, second, "the permit is free")
}

// sleeps: while the handlers of eight connections sleep, more than there are processors, another
// connection is served.
func sleeps(t *testing.T, echo starter) {
	const nap = 500 * time.Millisecond
	addr := echo("-sleep", nap.String()).Addr(t)
	other := program.DialTCP(t, addr)
	assertEchoes(t, other, "awake")
	var sleepers []net.Conn
	for range 8 {
		conn := program.DialTCP(t, addr)
		_, err := io.WriteString(conn, "sleep well")
		require.NoError(t, err)
		sleepers = append(sleepers, conn)
	}
	began := time.Now()
	for time.Since(began) < nap/2 {
		sent := time.Now()
		assertEchoes(t, other, "still awake")
		assert.Less(t, time.Since(sent), nap/2, "another connection waited")
	}
	for _, conn := range sleepers {
		answer := make([]byte, len("sleep well"))
		_, err := io.ReadFull(conn, answer)
		require.NoError(t, err)
		assert.Equal(t, "sleep well", string(answer))
	}
	assert.GreaterOrEqual(t, time.Since(began), nap-50*time.Millisecond)
}

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

// TestEcho uses the program as its user would: it is built once, and every test starts it anew.
func TestEcho(t *testing.T) {
	path := program.Build(t, ".")
	for _, test := range []struct {
		says string
		run  func(t *testing.T, path string)
	}{
		{"says one line and sends lines back", says},
		{"serves a unix socket", servesUnix},
		{"refuses what is wrong with one sentence", refuses},
		{"turns clients away with -when-full reject", rejects},
		{"closes who is idle", closesIdle},
		{"sends 20 MB in random pieces back", sendsEverything},
		{"sends whole replies after a half-close", repliesAfterHalfClose},
		{"is not harmed by clients that never read", survivesDeafClients},
		{"keeps no descriptor of reset connections", forgetsResets},
		{"drains on SIGTERM", drains},
		{"aborts on a second signal", abortsOnSecondSignal},
	} {
		t.Run(test.says, func(t *testing.T) { test.run(t, path) })
	}
}

// start runs the program on a free port.
func start(t *testing.T, path string, arguments ...string) (p *program.Program, addr string) {
	t.Helper()
	p = program.Start(t, path, append([]string{"-addr", "127.0.0.1:0"}, arguments...)...)
	return p, p.Addr(t)
}

// dial connects, with a deadline for everything: a test fails rather than hangs.
func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, program.Limit)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(program.Limit)))
	return conn.(*net.TCPConn)
}

// says: standard output is one line, events are slog's text on standard error, and what is typed comes back.
func says(t *testing.T, path string) {
	p, addr := start(t, path)
	conn := dial(t, addr)
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

func servesUnix(t *testing.T, path string) {
	socket := filepath.Join(t.TempDir(), "s")
	p := program.Start(t, path, "-network", "unix", "-addr", socket)
	assert.Equal(t, socket, p.Addr(t))
	conn, err := net.Dial("unix", socket)
	require.NoError(t, err)
	defer conn.Close()
	assertEchoes(t, conn, "over a path")
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
		{"-max-connections 1.5", `"1.5" for flag -max-connections`},
		{"serve", `unexpected argument "serve"`},
	} {
		t.Run(test.arguments, func(t *testing.T) {
			p := program.Start(t, path, strings.Fields(test.arguments)...)
			assert.NotZero(t, p.Wait(t))
			assert.Empty(t, p.Stdout())
			require.Len(t, p.Stderr(), 1, "%q", p.Stderr())
			assert.Contains(t, p.Stderr()[0], test.says)
		})
	}
}

func rejects(t *testing.T, path string) {
	p, addr := start(t, path, "-max-connections", "1", "-when-full", "reject")
	first := dial(t, addr)
	assertEchoes(t, first, "first")
	_, err := dial(t, addr).Read(make([]byte, 1))
	assert.Error(t, err, "the second client is turned away")
	p.AwaitStderr(t, "rejected")
	assertEchoes(t, first, "still here")
}

func closesIdle(t *testing.T, path string) {
	_, addr := start(t, path, "-idle-timeout", "100ms")
	conn := dial(t, addr)
	assertEchoes(t, conn, "not idle yet")
	_, err := conn.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err, fmt.Sprint("an idle connection ends in an orderly way: ", err))
}

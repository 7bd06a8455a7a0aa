package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-berth/berth/examples/internal/program"
	"github.com/go-berth/berth/test/manager"
)

// TestService runs the program as systemd does, with a notify socket of the test's.
func TestService(t *testing.T) {
	path := program.Build(t, ".")
	for _, test := range []struct {
		says string
		run  func(t *testing.T, path string)
	}{
		{"it is ready once it serves", isReady},
		{"restarts", namesItsHeirs},
		{"restarts, abstract", namesItsHeirsToAnAbstractSocket},
		{"a restart that fails", isReadyAgain},
		{"the watchdog", beatsWhileItAnswers},
		{"the watchdog of a full server", beatsWhileItIsFull},
		{"a stop ends a drain in order", stopsBoth},
		{"no manager", saysNothing},
	} {
		t.Run(test.says, func(t *testing.T) { test.run(t, path) })
	}
}

// service starts the program as the main process of a service. WATCHDOG_PID is its own number,
// which a shell knows before it becomes the program.
func service(t *testing.T, m *manager.Manager, watchdog time.Duration, path string, arguments ...string) *program.Program {
	t.Helper()
	const script = `[ -z "$NOFILE" ] || ulimit -n "$NOFILE"; WATCHDOG_PID=$$ exec "$0" "$@"`
	command := exec.Command("sh", append([]string{"-c", script, path}, arguments...)...)
	command.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.Addr)
	if watchdog > 0 {
		command.Env = append(command.Env, "WATCHDOG_USEC="+strconv.FormatInt(watchdog.Microseconds(), 10))
	}
	p := startCommand(t, command)
	m.Main = p.PID()
	return p
}

func assertSays(t *testing.T, m *manager.Manager, pid int, text string) {
	t.Helper()
	assert.Equal(t, manager.Message{PID: pid, Text: text}, m.AwaitOther(t))
}

// assertReloads expects a process to begin a restart after the moment since, of CLOCK_MONOTONIC.
func assertReloads(t *testing.T, m *manager.Manager, pid int, since int64) {
	t.Helper()
	message := m.AwaitOther(t)
	assert.Equal(t, pid, message.PID)
	assert.Equal(t, "1", message.Value("RELOADING"))
	at, err := strconv.ParseInt(message.Value("MONOTONIC_USEC"), 10, 64)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, at, since, "systemd waits for one that was sent after its signal")
	assert.LessOrEqual(t, at, monotonic(t))
}

func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	return now.Nano() / 1000
}

// assertAnswers expects an answer of process pid.
func assertAnswers(t *testing.T, network, addr string, pid int) {
	t.Helper()
	conn := program.Dial(t, network, addr)
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprint(pid, " hello\n"), answer)
}

func isReady(t *testing.T, path string) {
	m, socket := manager.Listen(t), filepath.Join(t.TempDir(), "s")
	p := service(t, m, 0, path, "-network", "unix", "-addr", socket)
	assertSays(t, m, p.PID(), "READY=1")
	assertAnswers(t, "unix", socket, p.PID())
	p.Signal(t, syscall.SIGTERM)
	assertSays(t, m, p.PID(), "STOPPING=1")
	assert.Zero(t, p.Wait(t))
	assert.Empty(t, m.Pending(t))
}

func namesItsHeirs(t *testing.T, path string) { restartTwice(t, path, manager.Listen(t)) }
func namesItsHeirsToAnAbstractSocket(t *testing.T, path string) {
	restartTwice(t, path, manager.ListenAbstract(t))
}

// restartTwice: what the heir of a process does, its own heir does too.
func restartTwice(t *testing.T, path string, m *manager.Manager) {
	p := service(t, m, time.Second, path, "-addr", "127.0.0.1:0")
	main := p.PID()
	assertSays(t, m, main, "READY=1")
	addr := p.Addr(t)
	for range 2 {
		assert.Equal(t, manager.Message{PID: main, Text: "WATCHDOG=1"}, m.Await(t))
		before := monotonic(t)
		require.NoError(t, syscall.Kill(main, syscall.SIGHUP))
		assertReloads(t, m, main, before)
		named := m.AwaitOther(t)
		heir, err := strconv.Atoi(p.AwaitStdout(t, fmt.Sprintf("process %d is replaced by ", main)))
		require.NoError(t, err)
		assert.Equal(t, manager.Message{PID: main, Text: fmt.Sprintf("MAINPID=%d\nREADY=1\nWATCHDOG=1", heir)}, named)
		p.AwaitStdout(t, fmt.Sprintf("process %d has ended", main))
		assertAnswers(t, "tcp", addr, heir)
		main = heir
	}
	assert.Equal(t, manager.Message{PID: main, Text: "WATCHDOG=1"}, m.Await(t), "it is watched under another number")
	require.NoError(t, syscall.Kill(main, syscall.SIGTERM))
	assertSays(t, m, main, "STOPPING=1")
	assert.Zero(t, p.Wait(t))
	assert.Empty(t, m.Pending(t))
}

// isReadyAgain: the program cannot be started again, its file is gone.
func isReadyAgain(t *testing.T, path string) {
	own := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.Link(path, own))
	m := manager.Listen(t)
	p := service(t, m, 0, own, "-addr", "127.0.0.1:0")
	assertSays(t, m, p.PID(), "READY=1")
	require.NoError(t, os.Remove(own))
	before := monotonic(t)
	p.Signal(t, syscall.SIGHUP)
	assertReloads(t, m, p.PID(), before)
	assertSays(t, m, p.PID(), "READY=1")
	assertAnswers(t, "tcp", p.Addr(t), p.PID())
}

// beatsWhileItAnswers: no client finds the server while the path of its socket is another, and so
// the server's own probe does not.
func beatsWhileItAnswers(t *testing.T, path string) {
	m, socket := manager.Listen(t), filepath.Join(t.TempDir(), "s")
	p := service(t, m, 200*time.Millisecond, path, "-network", "unix", "-addr", socket)
	assert.Equal(t, "READY=1", m.AwaitOther(t).Text)
	assert.Equal(t, "WATCHDOG=1", m.Await(t).Text)

	const failure = `msg="the server does not answer"`
	require.NoError(t, os.Rename(socket, socket+".away"))
	awaitFailures(t, p, failure, 1)
	m.Pending(t) // the beats before the failure
	awaitFailures(t, p, failure, 4)
	assert.Empty(t, m.Pending(t))

	require.NoError(t, os.Rename(socket+".away", socket))
	assert.Equal(t, "WATCHDOG=1", m.Await(t).Text)
}

// beatsWhileItIsFull: the server's own probe would wait for its place like every client, and a
// server that is full is alive.
func beatsWhileItIsFull(t *testing.T, path string) {
	t.Setenv("NOFILE", "100") // of which 80% are for connections
	m := manager.Listen(t)
	p := service(t, m, 200*time.Millisecond, path, "-addr", "127.0.0.1:0")
	addr := p.Addr(t)
	for range 80 {
		conn := program.Dial(t, "tcp", addr)
		fmt.Fprintln(conn, "hello")
		_, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
	}
	m.Pending(t) // what came before it was full
	for range 3 {
		assert.Equal(t, manager.Message{PID: p.PID(), Text: "WATCHDOG=1"}, m.Await(t))
	}
}

// awaitFailures waits for so many lines with text on standard error.
func awaitFailures(t *testing.T, p *program.Program, text string, count int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return strings.Count(strings.Join(p.Stderr(), "\n"), text) >= count
	}, program.Limit, time.Millisecond)
}

// stopsBoth: systemd sends SIGTERM to every process of a service, also to one that was replaced and
// still drains. To that one it is the first, so it drains on.
func stopsBoth(t *testing.T, path string) {
	m := manager.Listen(t)
	p := service(t, m, 0, path, "-addr", "127.0.0.1:0")
	assertSays(t, m, p.PID(), "READY=1")
	conn := program.Dial(t, "tcp", p.Addr(t))
	lines := bufio.NewReader(conn)
	fmt.Fprintln(conn, "accepted")
	_, err := lines.ReadString('\n')
	require.NoError(t, err)
	heir := hangUp(t, p, p.PID())
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "reconnect\n", line)

	p.Signal(t, syscall.SIGTERM)
	require.NoError(t, syscall.Kill(heir, syscall.SIGTERM))
	p.AwaitStdout(t, fmt.Sprintf("process %d has ended", heir))
	fmt.Fprintln(conn, "still here")
	line, err = lines.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprint(p.PID(), " still here\n"), line)
	require.NoError(t, conn.Close())
	assert.Zero(t, p.Wait(t))
}

// saysNothing: without NOTIFY_SOCKET the program does what it always did.
func saysNothing(t *testing.T, path string) {
	command := exec.Command(path, "-addr", "127.0.0.1:0")
	command.Env = append(os.Environ(), "WATCHDOG_USEC=1000")
	p := startCommand(t, command)
	addr := p.Addr(t)
	heir := hangUp(t, p, p.PID())
	p.AwaitStdout(t, fmt.Sprintf("process %d has ended", p.PID()))
	assertAnswers(t, "tcp", addr, heir)
	require.NoError(t, syscall.Kill(heir, syscall.SIGTERM))
	assert.Zero(t, p.Wait(t))
	assert.NotContains(t, strings.Join(p.Stderr(), "\n"), "level=WARN")
}

//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

// start runs the program in a process group, so that the test's end, however it comes, is the end
// of every process that descends from it.
func start(t *testing.T, path string, arguments ...string) *program.Program {
	t.Helper()
	return startCommand(t, exec.Command(path, arguments...))
}

func startCommand(t *testing.T, command *exec.Cmd) *program.Program {
	t.Helper()
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := program.StartCommand(t, command)
	t.Cleanup(func() { _ = syscall.Kill(-p.PID(), syscall.SIGKILL) })
	return p
}

// hangUp sends SIGHUP to a process, which need not be our child, and returns the number of the one
// that replaces it.
func hangUp(t *testing.T, p *program.Program, process int) int {
	t.Helper()
	require.NoError(t, syscall.Kill(process, syscall.SIGHUP))
	next, err := strconv.Atoi(p.AwaitStdout(t, fmt.Sprintf("process %d is replaced by ", process)))
	require.NoError(t, err)
	return next
}

// TestRestart uses the program as its user would: it is built once, and every test starts it anew.
func TestRestart(t *testing.T) {
	path := program.Build(t, ".")
	for _, test := range []struct {
		says string
		run  func(t *testing.T, path string)
	}{
		{"every line is answered", answersEveryLine},
		{"no request is lost by restarts under load", losesNoRequest},
		{"after a restart that fails the old process serves on", servesOn},
		{"the socket's path stays until the last process ends", keepsThePath},
		{"under a service manager clients wait for the next process", waitsForTheNext},
	} {
		t.Run(test.says, func(t *testing.T) { test.run(t, path) })
	}
}

func answersEveryLine(t *testing.T, path string) {
	p := start(t, path, "-addr", "127.0.0.1:0")
	conn := program.Dial(t, "tcp", p.Addr(t))
	// As many and as short lines as a read brings.
	_, err := io.WriteString(conn, "one\ntw"+"o\r\n"+strings.Repeat("\n", 20_000))
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	said, err := io.ReadAll(conn)
	require.NoError(t, err)
	prefix := fmt.Sprint(p.PID(), " ")
	assert.Equal(t, prefix+"one\n"+prefix+"two\n"+strings.Repeat(prefix+"\n", 20_000), string(said))
	p.Signal(t, syscall.SIGTERM)
	assert.Zero(t, p.Wait(t))
}

// servesOn: the program cannot be started again while its file is gone.
func servesOn(t *testing.T, path string) {
	spare := path + ".spare"
	require.NoError(t, os.Link(path, spare))
	p := start(t, path, "-addr", "127.0.0.1:0")
	addr := p.Addr(t)
	require.NoError(t, os.Remove(path))
	require.NoError(t, syscall.Kill(p.PID(), syscall.SIGHUP))
	p.AwaitStderr(t, "berth: fork/exec "+path+": no such file or directory")
	require.NoError(t, os.Rename(spare, path))
	conn := program.Dial(t, "tcp", addr)
	fmt.Fprintln(conn, "still here")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprint(p.PID(), " still here\n"), answer)
	assert.NotEqual(t, p.PID(), hangUp(t, p, p.PID()), "the next attempt")
}

func keepsThePath(t *testing.T, path string) {
	socket := filepath.Join(t.TempDir(), "s")
	p := start(t, path, "-network", "unix", "-addr", socket)
	p.Addr(t)
	last := p.PID()
	for range 2 {
		next := hangUp(t, p, last)
		p.AwaitStdout(t, fmt.Sprintf("process %d has ended", last))
		conn := program.Dial(t, "unix", socket)
		fmt.Fprintln(conn, "hello")
		answer, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint(next, " hello\n"), answer)
		require.NoError(t, conn.Close())
		last = next
	}
	require.NoError(t, syscall.Kill(last, syscall.SIGTERM))
	assert.Zero(t, p.Wait(t))
	assert.NoFileExists(t, socket)
}

// waitsForTheNext does what a service manager does: it opens the socket, starts a process with it,
// later ends that one and starts the next. A client that comes in between waits, and is served. A
// shell stands in for the manager: it knows its own number before it becomes the program.
func waitsForTheNext(t *testing.T, path string) {
	kept, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer kept.Close()
	file, err := kept.(*net.TCPListener).File()
	require.NoError(t, err)
	defer file.Close()
	activate := func() *program.Program {
		command := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=restart.socket exec "$0"`, path)
		command.ExtraFiles = []*os.File{file}
		return startCommand(t, command)
	}
	var waiting net.Conn
	for range 3 {
		p := activate()
		assert.Equal(t, kept.Addr().String(), p.Addr(t))
		if waiting == nil {
			waiting = program.Dial(t, "tcp", kept.Addr().String())
			fmt.Fprintln(waiting, "hello")
		}
		answer, err := bufio.NewReader(waiting).ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprint(p.PID(), " hello\n"), answer)
		require.NoError(t, waiting.Close())
		p.Signal(t, syscall.SIGTERM)
		assert.Zero(t, p.Wait(t))
		waiting = program.Dial(t, "tcp", kept.Addr().String())
		fmt.Fprintln(waiting, "hello")
	}
}

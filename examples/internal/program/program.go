// Package program builds and runs the examples as a user would, for their tests.
package program

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Limit is how long a test waits for anything that ought to happen at once. It is generous: a
// machine may be busy.
const Limit = 30 * time.Second

// Build compiles the package in dir and returns the path of the program. flags go to go build.
func Build(t *testing.T, dir string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	arguments := append([]string{"build", "-o", path}, flags...)
	output, err := exec.Command("go", append(arguments, dir)...).CombinedOutput()
	require.NoError(t, err, "go build %s: %s", dir, output)
	lookAtSources(t, dir, flags)
	return path
}

// lookAtSources makes the program's sources, and those of what it imports, files that the test has
// seen: go test does not answer from its cache once one of them has changed.
func lookAtSources(t *testing.T, dir string, flags []string) {
	t.Helper()
	const format = `{{if .Module}}{{if .Module.Main}}{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}{{"/"}}{{.}}{{"\n"}}{{end}}{{end}}{{end}}`
	arguments := append([]string{"list", "-deps", "-f", format}, flags...)
	files, err := exec.Command("go", append(arguments, dir)...).Output()
	require.NoError(t, err)
	names := strings.Fields(string(files))
	require.NotEmpty(t, names)
	for _, name := range names {
		_, _ = os.Stat(name) // a file of an overlay is nowhere
	}
}

// Program is one running program. Its output is collected by two goroutines, and a third waits for
// its end; all of them end with the process, which the test's cleanup kills if it still runs.
type Program struct {
	command        *exec.Cmd
	stdout, stderr output
	exited         chan struct{}
}

// Start runs the program at path.
func Start(t *testing.T, path string, arguments ...string) *Program {
	t.Helper()
	return StartCommand(t, exec.Command(path, arguments...))
}

// StartCommand runs a command that says more than Start can. If it starts processes that outlive
// it, it has not exited before they have, as they have its output: a test that fails must end them.
func StartCommand(t *testing.T, command *exec.Cmd) *Program {
	t.Helper()
	p := &Program{command: command, exited: make(chan struct{})}
	var collecting sync.WaitGroup
	for _, stream := range []struct {
		pipe func() (io.ReadCloser, error)
		to   *output
	}{{p.command.StdoutPipe, &p.stdout}, {p.command.StderrPipe, &p.stderr}} {
		pipe, err := stream.pipe()
		require.NoError(t, err)
		stream.to.grown = make(chan struct{})
		collecting.Go(func() { stream.to.collect(pipe) })
	}
	require.NoError(t, p.command.Start())
	go func() {
		defer close(p.exited)
		collecting.Wait() // Wait closes the pipes: everything must have been read before
		_ = p.command.Wait()
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		<-p.exited
	})
	return p
}

// Stdout returns the lines on standard output so far.
func (p *Program) Stdout() []string { return p.stdout.all() }

// Stderr returns the lines on standard error so far.
func (p *Program) Stderr() []string { return p.stderr.all() }

// AwaitStdout waits for a line on standard output that begins with prefix, and returns what follows
// it.
func (p *Program) AwaitStdout(t *testing.T, prefix string) string {
	t.Helper()
	return p.await(t, &p.stdout, func(line string) (string, bool) { return strings.CutPrefix(line, prefix) }, prefix)
}

// AwaitStderr waits for a line on standard error that contains text, and returns what follows it.
func (p *Program) AwaitStderr(t *testing.T, text string) string {
	t.Helper()
	return p.await(t, &p.stderr, func(line string) (string, bool) {
		_, after, ok := strings.Cut(line, text)
		return after, ok
	}, text)
}

// Addr waits for the line that says where the program listens.
func (p *Program) Addr(t *testing.T) string {
	t.Helper()
	return p.AwaitStdout(t, "listening on ")
}

func (p *Program) await(t *testing.T, from *output, match func(string) (string, bool), what string) string {
	t.Helper()
	late := time.NewTimer(Limit)
	defer late.Stop()
	for {
		lines, grown := from.look()
		for _, line := range lines {
			if rest, ok := match(line); ok {
				return rest
			}
		}
		select {
		case <-grown:
		case <-p.exited:
			if now, _ := from.look(); len(now) > len(lines) {
				continue
			}
			require.FailNow(t, "the program ended without saying it", "%q; standard error: %q", what, p.Stderr())
		case <-late.C:
			require.FailNow(t, "the program does not say it", "%q; standard error: %q", what, p.Stderr())
		}
	}
}

// Signal sends the program a signal. Windows has none to send: there the test is skipped.
func (p *Program) Signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no signals between processes on Windows")
	}
	require.NoError(t, p.command.Process.Signal(signal))
}

// PID returns the number of the process.
func (p *Program) PID() int { return p.command.Process.Pid }

// Wait waits for the program's end and returns its exit status.
func (p *Program) Wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(Limit):
		require.FailNow(t, "the program does not end", "standard error: %q", p.Stderr())
	}
	return p.command.ProcessState.ExitCode()
}

// output is the lines of one stream so far.
type output struct {
	mu    sync.Mutex
	lines []string
	grown chan struct{} // closed, and made anew, for every line
}

func (o *output) collect(pipe io.Reader) {
	lines := bufio.NewReader(pipe)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			o.mu.Lock()
			o.lines = append(o.lines, strings.TrimSuffix(line, "\n"))
			close(o.grown)
			o.grown = make(chan struct{})
			o.mu.Unlock()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				panic(err)
			}
			return
		}
	}
}

func (o *output) look() (lines []string, grown <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.lines...), o.grown
}

func (o *output) all() []string {
	lines, _ := o.look()
	return lines
}

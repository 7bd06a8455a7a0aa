package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
)

func TestMain(m *testing.M) { setup.Main(m) }

// writer lets a test wait for a line.
type writer struct {
	mu    sync.Mutex
	text  strings.Builder
	lines chan string
}

func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if w.lines != nil {
		w.lines <- string(p)
	}
	return len(p), nil
}

func (w *writer) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// flags is a program that reads its command line and serves nothing.
func flags(p *Program) error {
	var slow berth.SlowPolicy
	OneOf(p.Flags, &slow, "slow", "what becomes of it",
		Choice[berth.SlowPolicy]{"close", berth.SlowClose}, Choice[berth.SlowPolicy]{"drop", berth.SlowDropNewest})
	if err := p.Begin(); err != nil {
		return err
	}
	if slow == berth.SlowDropNewest {
		return p.Errorf("-slow %s", "drop")
	}
	return nil
}

func TestWhatIsWrongWithACommandLineIsOneSentence(t *testing.T) {
	for arguments, want := range map[string]string{
		"-slow close": "",
		"-slow drop":  "name: -slow drop",
		"-slow down":  `name: invalid value "down" for flag -slow: it is none of close, drop`,
		"-slow":       "name: flag needs an argument: -slow",
		"-no":         "name: flag provided but not defined: -no",
		"now":         `name: unexpected argument "now"`,
	} {
		var stderr writer
		err := run("name", strings.Fields(arguments), io.Discard, &stderr, flags)
		if want == "" {
			assert.NoError(t, err)
		} else {
			assert.EqualError(t, err, want)
		}
		assert.Empty(t, stderr.String())
	}
}

func TestHelpIsNoError(t *testing.T) {
	var stderr writer
	require.NoError(t, run("name", []string{"-help"}, io.Discard, &stderr, flags))
	assert.Contains(t, stderr.String(), "Usage of name:")
	assert.Contains(t, stderr.String(), "what becomes of it: one of close, drop (default close)")
}

// address is where a server listens that is none of Berth's.
type address struct{ net.Addr }

func (address) String() string { return "here" }

// terminator returns a function that sends this process SIGTERM.
func terminator(t *testing.T) func() {
	if runtime.GOOS == "windows" {
		t.Skip("a process cannot send itself a signal")
	}
	self, err := os.FindProcess(os.Getpid())
	require.NoError(t, err)
	t.Cleanup(func() { _ = self.Release() })
	return func() { require.NoError(t, self.Signal(syscall.SIGTERM)) }
}

// The shutdown's context is done at the second signal.
func TestTheFirstSignalDrainsAndTheSecondAborts(t *testing.T) {
	signalMyself := terminator(t)
	aborted := errors.New("aborted")
	stdout := &writer{lines: make(chan string, 1)}
	began, result := make(chan struct{}), make(chan error, 1)
	go func() {
		result <- run("name", nil, stdout, io.Discard, func(p *Program) error {
			if err := p.Begin(); err != nil {
				return err
			}
			return p.Until(address{}, nil, func(ctx context.Context) error {
				close(began)
				<-ctx.Done()
				return aborted
			})
		})
	}()
	require.Equal(t, "listening on here\n", <-stdout.lines)
	signalMyself()
	<-began
	select {
	case err := <-result:
		require.Fail(t, "one signal is enough", "%v", err)
	default:
	}
	signalMyself()
	require.ErrorIs(t, <-result, aborted)
}

// A script that restarts a server reads the exit code: after a drain it is 0 only if no session was
// cut off.
func TestADrainThatCutsOffSessionsIsAnError(t *testing.T) {
	signalMyself := terminator(t)
	stdout := &writer{lines: make(chan string, 1)}
	result := make(chan error, 1)
	go func() {
		result <- run("name", nil, stdout, io.Discard, func(p *Program) error {
			if err := p.Begin(); err != nil {
				return err
			}
			echo := berth.HandlerFunc(func(s berth.Socket, b *berth.Buffer) error {
				_, err := s.Forward(b)
				return err
			})
			server, err := berth.Listen("127.0.0.1:0", echo, berth.Options{ShutdownTimeout: 400 * time.Millisecond})
			if err != nil {
				return err
			}
			return p.Serve(server)
		})
	}()
	conn, err := net.Dial("tcp", strings.TrimSpace(strings.TrimPrefix(<-stdout.lines, "listening on ")))
	require.NoError(t, err)
	served, ended := make(chan struct{}), make(chan struct{})
	go func() { // there is always a byte on its way
		defer close(ended)
		defer conn.Close()
		var served = sync.OnceFunc(func() { close(served) })
		for b := []byte{0}; ; served() {
			if _, err := conn.Write(b); err != nil {
				return
			}
			if _, err := io.ReadFull(conn, b); err != nil {
				return
			}
		}
	}()
	<-served
	signalMyself()
	err = <-result
	<-ended
	require.Error(t, err)
	assert.Contains(t, err.Error(), "1 interrupted with work under way")
}

func TestAServerThatEndsByItselfIsAnError(t *testing.T) {
	err := run("name", nil, io.Discard, io.Discard, func(p *Program) error {
		if err := p.Begin(); err != nil {
			return err
		}
		server, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(func(berth.Socket, *berth.Buffer) error { return nil }), berth.Options{})
		require.NoError(t, err)
		require.NoError(t, server.Close())
		return p.Serve(server)
	})
	assert.EqualError(t, err, "name: the listener has stopped")
}

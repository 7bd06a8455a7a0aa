//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

func overNetworks(t *testing.T, test func(t *testing.T, network, addr string)) {
	t.Run("tcp", func(t *testing.T) { test(t, "tcp", anyPort) })
	t.Run("unix", func(t *testing.T) { test(t, "unix", filepath.Join(t.TempDir(), "s")) })
}

// ask opens a connection for one request, and returns the name of the process that answers it.
func ask(t *testing.T, l *Listener) string {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "who?")
	require.NoError(t, err)
	answer := make([]byte, 3)
	_, err = io.ReadFull(c, answer)
	require.NoError(t, err)
	return string(answer)
}

func TestReexecHandsTheSocketsOverAndTheOldProcessDrains(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		overNetworks(t, func(t *testing.T, network, addr string) {
			before := descriptors()
			o.Network, o.Connection = network, brisk
			w := newWorld()
			l, err := Listen(w.Root, addr, of(voice("old")), o)
			require.NoError(t, err)
			live := dial(t, l)
			_, err = io.WriteString(live, "who?")
			require.NoError(t, err)
			assertHears(t, "old", live)

			s := newSuccessor(t, serves)
			process, err := Reexec(within(t, patience), s.command, l)
			require.NoError(t, err)
			assert.Equal(t, s.command.Process, process)
			assert.Equal(t, "1", s.await("serving "))
			for ask(t, l) != "new" { // now both accept
				continue
			}
			_, err = io.WriteString(live, "still?")
			require.NoError(t, err)
			assertHears(t, "old", live)

			require.NoError(t, l.Shutdown(within(t, patience)))
			assert.NoError(t, ends(live), "an orderly end")
			for range 20 {
				assert.Equal(t, "new", ask(t, l))
			}
			s.end()
			_, err = net.Dial(network, l.Addr().String())
			require.Error(t, err, "the last one closes the socket")
			if network == "unix" {
				assert.NoFileExists(t, l.Addr().String())
			}
			assert.Empty(t, w.actors())
			_ = live.Close()
			assert.LessOrEqual(t, descriptors(), before+4, "but for the successor's own pipes")
		})
	})
}

// Three generations of sockets: those that a service manager made stay the manager's, and all keep
// their names and their order.
func TestReexecPassesOnWhereTheSocketsCameFrom(t *testing.T) {
	w := newWorld()
	own := w.listen(t, of(newEcho()), Options{})
	listeners, _ := sockets(t)
	managed, err := Serve(w.Root, inherits(t, listeners[1].(*net.UnixListener)), of(newEcho()), Options{})
	require.NoError(t, err)
	defer managed.Close()
	s := newSuccessor(t, describes)
	s.command.Env = append(s.command.Env, "LISTEN_PID=1", "LISTEN_FDS=7", "LISTEN_FDNAMES=of:the:old")
	_, err = Reexec(within(t, patience), s.command, managed, own)
	require.EqualError(t, err, "berth: the new process ended before it was ready: exit status 0")
	var d description
	s.read(&d)
	assert.Empty(t, d.Err)
	assert.ElementsMatch(t, []socketDescription{
		{"kept", "unix", managed.Addr().String(), true},
		{"unknown", "tcp", own.Addr().String(), false},
	}, d.Sockets)
	assert.Empty(t, d.Environment)
	assert.Subset(t, passed(), d.Passed, "also not the pipe for Ready")
}

// assertUnchanged requires that a failed Reexec left nothing: the listener serves, can be suspended
// (its socket has not become a blocking one), and takes the path of its socket with it.
func assertUnchanged(t *testing.T, l *Listener, s *successor) {
	t.Helper()
	if s.command.Process != nil {
		assert.ErrorIs(t, s.command.Process.Signal(syscall.Signal(0)), os.ErrProcessDone, "it has been waited for")
	}
	assert.False(t, l.server.livesOn())
	for range 5 {
		assert.Equal(t, "old", ask(t, l))
	}
	l.Suspend()
	require.NoError(t, l.Resume())
	assert.Equal(t, "old", ask(t, l))
	require.NoError(t, l.Close())
	_, err := net.Dial(l.Addr().Network(), l.Addr().String())
	assert.Error(t, err)
	if l.Addr().Network() == "unix" {
		assert.NoFileExists(t, l.Addr().String())
	}
}

func TestAfterAFailedReexecTheOldProcessServesOn(t *testing.T) {
	for says, test := range map[string]struct {
		task string
		fail func(s *successor, l *Listener, cancel func())
		want string
	}{
		"it ends before it is ready": {givesUp, nil, "berth: the new process ended before it was ready: exit status 3"},
		"it is not ready in time": {neverReady, func(s *successor, _ *Listener, cancel func()) {
			s.await("serving none")
			cancel()
		}, "berth: the new process was not ready in time: context canceled"},
		"there is no such program": {"/no/such/program", nil, "berth: fork/exec /no/such/program: no such file or directory"},
	} {
		t.Run(says, func(t *testing.T) {
			overEach(t, func(t *testing.T, o Options) {
				overNetworks(t, func(t *testing.T, network, addr string) {
					o.Network, o.Connection = network, brisk
					l, err := Listen(newWorld().Root, addr, of(voice("old")), o)
					require.NoError(t, err)
					s := newSuccessor(t, test.task)
					if filepath.IsAbs(test.task) {
						s.command.Path = test.task
					}
					before := descriptors()
					ctx, cancel := context.WithCancel(within(t, patience))
					defer cancel()
					failed := make(chan error)
					go func() {
						_, err := Reexec(ctx, s.command, l)
						failed <- err
					}()
					if test.fail != nil {
						test.fail(s, l, cancel)
					}
					assert.EqualError(t, receive(t, failed), test.want)
					assert.LessOrEqual(t, descriptors(), before)
					assertUnchanged(t, l, s)
				})
			})
		})
	}
}

// A listener that is shut down while the new process starts has closed its socket, and removed its
// path: there is nothing to take over.
func TestAListenerThatIsShutDownMeanwhileIsNotHandedOver(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		overNetworks(t, func(t *testing.T, network, addr string) {
			o.Connection = brisk
			w := newWorld()
			stays := w.listen(t, of(voice("old")), o)
			o.Network = network
			l, err := Listen(w.Root, addr, of(voice("old")), o)
			require.NoError(t, err)
			s := newSuccessor(t, hesitates)
			failed := make(chan error)
			go func() {
				_, err := Reexec(within(t, patience), s.command, stays, l)
				failed <- err
			}()
			assert.Equal(t, "2", s.await("serving "))
			require.NoError(t, l.Close())
			_, err = fmt.Fprintln(s.in, "go on")
			require.NoError(t, err)
			assert.Equal(t, ErrClosed, receive(t, failed))
			assertUnchanged(t, stays, s)
			_, err = net.Dial(network, l.Addr().String())
			assert.Error(t, err)
		})
	})
}

func TestReexecRefusesWhatCannotBeBeforeAnythingIsStarted(t *testing.T) {
	good := newWorld().listen(t, of(newEcho()), Options{})
	ended := newWorld().listen(t, of(newEcho()), Options{})
	require.NoError(t, ended.Close())
	inMemory, err := Serve(newWorld().Root, simnet.Listen(simnet.Options{}), of(newEcho()), Options{})
	require.NoError(t, err)
	defer inMemory.Close()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	before := descriptors()
	for says, test := range map[string]struct {
		ctx       context.Context
		command   *exec.Cmd
		listeners []*Listener
	}{
		"berth: no listener to hand over":                                      {t.Context(), nil, nil},
		"berth: a *simnet.Listener has no descriptor to hand over":             {t.Context(), nil, []*Listener{good, inMemory}},
		"berth: the listener has ended":                                        {t.Context(), nil, []*Listener{good, ended}},
		"berth: the command has ExtraFiles, where the sockets must come":       {t.Context(), &exec.Cmd{ExtraFiles: []*os.File{os.Stdin}}, []*Listener{good}},
		"berth: the new process was not ready in time: context canceled":       {over, exec.Command("true"), []*Listener{good}},
		"berth: fork/exec /no/such/program: no such file or directory":         {t.Context(), &exec.Cmd{Path: "/no/such/program"}, []*Listener{good}},
		"berth: exec: \"no-such-program\": executable file not found in $PATH": {t.Context(), exec.Command("no-such-program"), []*Listener{good}},
	} {
		process, err := Reexec(test.ctx, test.command, test.listeners...)
		assert.EqualError(t, err, says)
		assert.Nil(t, process)
		assert.True(t, test.command == nil || test.command.Process == nil)
	}
	assert.LessOrEqual(t, descriptors(), before)
}

func TestReadyWithoutAWaitingProcessDoesNothing(t *testing.T) {
	assert.NoError(t, Ready())
}

func TestReadySaysThatTheOldProcessIsGone(t *testing.T) {
	ready, theirs, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, ready.Close())
	var r readiness
	r.set(theirs)
	assert.ErrorContains(t, r.tell(), "berth: the process that handed its sockets over is gone: ")
	assert.NoError(t, r.tell())
}

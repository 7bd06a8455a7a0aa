//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unixDirectory is a directory whose name is short enough for a socket.
func unixDirectory(t *testing.T) string {
	t.Helper()
	return filepath.Dir(someAddress(t, Options{Network: "unix"}))
}

// listenAt serves a path until the test ends.
func listenAt(t *testing.T, path string, o Options) *Listener {
	t.Helper()
	o.Network, o.Connection = "unix", brisk
	l, err := Listen(newWorld().Root, path, of(newEcho()), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestAListenerRemovesThePathOfItsOwnSocketOnly(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for says, first := range map[string]func(t *testing.T, path string) *Listener{
			"listened": func(t *testing.T, path string) *Listener { return listenAt(t, path, o) },
			"served": func(t *testing.T, path string) *Listener {
				l, err := Serve(newWorld().Root, listenOn(t, "unix", path), of(newEcho()), o)
				require.NoError(t, err)
				return l
			},
			"listened again after a refusal": func(t *testing.T, path string) *Listener {
				l := listenAt(t, path, o)
				require.NoError(t, l.SuspendRefusing())
				require.NoError(t, l.Resume())
				return l
			},
			"inherited and ready": func(t *testing.T, path string) *Listener { return inheritsAt(t, path, o) },
		} {
			t.Run(says, func(t *testing.T) {
				path := filepath.Join(unixDirectory(t), "s")
				one := first(t, path)
				require.NoError(t, os.Remove(path))
				two := listenAt(t, path, o)
				require.NoError(t, one.Close())
				echoes(t, dial(t, two))
				require.NoError(t, two.SuspendRefusing())
				assert.NoFileExists(t, path)
				require.NoError(t, two.Resume())
				echoes(t, dial(t, two))
				require.NoError(t, two.Close())
				assert.NoFileExists(t, path)

				alone := first(t, path)
				require.NoError(t, alone.Close())
				assert.NoFileExists(t, path)
			})
		}
		t.Run("suspended meanwhile", func(t *testing.T) {
			path := filepath.Join(unixDirectory(t), "s")
			one := listenAt(t, path, o)
			require.NoError(t, one.SuspendRefusing())
			two := listenAt(t, path, o)
			require.ErrorIs(t, one.Resume(), syscall.EADDRINUSE)
			require.NoError(t, one.Close())
			echoes(t, dial(t, two))
		})
	})
}

// inheritsAt serves a socket that came by Reexec.
func inheritsAt(t *testing.T, path string, o Options) *Listener {
	t.Helper()
	own := listenOn(t, "unix", path).(*net.UnixListener)
	inherited, err := listenerOf(fileOf(t, own))
	require.NoError(t, err)
	own.SetUnlinkOnClose(false)
	require.NoError(t, own.Close())
	origins.Store(inherited, origin{name: unnamed, reexec: true, file: fileAt(path)})
	l, err := Serve(newWorld().Root, inherited, of(newEcho()), o)
	require.NoError(t, err)
	return l
}

func TestThePathOfAnInheritedSocketIsTheOldProcesssUntilReady(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		path := filepath.Join(unixDirectory(t), "s")
		l := inheritsAt(t, path, o)
		theirs, ours, err := os.Pipe()
		require.NoError(t, err)
		defer theirs.Close()
		waiting.set(ours)
		require.NoError(t, l.Close())
		assert.FileExists(t, path)
		require.NoError(t, Ready())
	})
}

// The file that a path led to at its bind is passed on from process to process.
func TestAnInheritedPathThatLeadsElsewhereStays(t *testing.T) {
	path := filepath.Join(unixDirectory(t), "s")
	l := inheritsAt(t, path, Options{})
	require.NoError(t, os.Remove(path))
	other := listenAt(t, path, Options{})
	again, err := Serve(newWorld().Root, reinherits(t, l), of(newEcho()), Options{})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.NoError(t, again.Close())
	echoes(t, dial(t, other))
}

// reinherits returns the socket of l as the process after Reexec would get it.
func reinherits(t *testing.T, l *Listener) net.Listener {
	t.Helper()
	files, environment, err := give([]*Listener{l})
	require.NoError(t, err)
	defer closeFiles(files)
	_, text, _ := strings.Cut(environment[2], "=")
	t.Setenv(listenFDs, "1")
	t.Setenv(handoverVariable, strings.Replace(text, strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid()), 1))
	g, err := takeEnvironment()
	require.NoError(t, err)
	require.True(t, g.reexec)
	inherited, err := listenerOf(files[0])
	require.NoError(t, err)
	origins.Store(inherited, g.origin(0))
	return inherited
}

func TestAnAddressThatIsMissingOrTooLongIsOneSentence(t *testing.T) {
	most := len(syscall.RawSockaddrUnix{}.Path) - 1
	long := "/" + strings.Repeat("x", most)
	for _, test := range []struct{ network, addr, want string }{
		{"", "", `berth: the address is empty: give "host:port", or ":port" for all interfaces; port 0 is any free one`},
		{"tcp4", ":", `berth: the address ":" has no port; port 0 is any free one`},
		{"tcp", "127.0.0.1:", `berth: the address "127.0.0.1:" has no port; port 0 is any free one`},
		{"tcp", "[::1]:", `berth: the address "[::1]:" has no port; port 0 is any free one`},
		{"tcp", "7000", "berth: listen tcp: address 7000: missing port in address"},
		{"tcp", "/run/x.sock", `berth: the address "/run/x.sock" is none of TCP: for a unix socket, the option Network is "unix"`},
		{"", "@x", `berth: the address "@x" is none of TCP: for a unix socket, the option Network is "unix"`},
		{"unix", "", "berth: the address is empty: give the path of the unix socket"},
		{"unix", long, `berth: the unix path "` + long + `" has ` + map[bool]string{true: "108 bytes; the most is 107", false: "104 bytes; the most is 103"}[most == 107]},
	} {
		w := newWorld()
		_, err := Listen(w.Root, test.addr, of(newEcho()), Options{Network: test.network})
		require.EqualError(t, err, test.want)
		assert.Empty(t, w.actors())
	}
	if runtime.GOOS == "linux" {
		l, err := Listen(newWorld().Root, "@"+strings.Repeat("y", most), of(newEcho()), Options{Network: "unix"})
		require.NoError(t, err, "a name that is no path may have one byte more")
		require.NoError(t, l.Close())
	}
}

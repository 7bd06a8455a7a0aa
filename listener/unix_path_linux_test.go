package listener

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// leave leaves a path behind as a process that was killed does.
func leave(t *testing.T, path string) {
	t.Helper()
	l := listenOn(t, "unix", path).(*net.UnixListener)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, path)
}

func TestAPathWithoutAListenerIsTakenOver(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		path := filepath.Join(unixDirectory(t), "s")
		leave(t, path)
		l := listenAt(t, path, o)
		echoes(t, dial(t, l))
		require.NoError(t, l.SuspendRefusing())
		leave(t, path)
		require.NoError(t, l.Resume(), "also where it is bound again")
		echoes(t, dial(t, l))
	})
}

func TestOfManyListenersThatTakeAPathOverAtOnceOneDoes(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		o.Network, o.Connection = "unix", brisk
		w := newWorld()
		for range 5 {
			path := filepath.Join(unixDirectory(t), "s")
			leave(t, path)
			var all sync.WaitGroup
			won := make(chan *Listener, 8)
			for range cap(won) {
				all.Go(func() {
					l, err := Listen(w.Root, path, of(newEcho()), o)
					if err == nil {
						won <- l
					} else {
						assert.ErrorIs(t, err, syscall.EADDRINUSE)
					}
				})
			}
			all.Wait()
			require.Len(t, won, 1)
			l := <-won
			echoes(t, dial(t, l))
			require.NoError(t, l.Close())
			assert.NoFileExists(t, path)
		}
	})
}

// Between a bind and its listen the kernel refuses clients, as it does at a path that was left
// behind.
func TestAPathIsNotTakenOverWhileItsDirectoryIsLocked(t *testing.T) {
	path := filepath.Join(unixDirectory(t), "s")
	begun, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		l, err := bindPath(path, func() (net.Listener, error) {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return nil, err
			}
			if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
				return nil, err
			}
			close(begun)
			<-goOn
			file := os.NewFile(uintptr(fd), path)
			defer file.Close()
			if err := unix.Listen(fd, 1); err != nil {
				return nil, err
			}
			return net.FileListener(file)
		})
		if err == nil {
			_ = l.Close()
		}
		first <- err
	}()
	<-begun
	tried := make(chan error, 1)
	go func() {
		_, err := Options{Network: "unix"}.withDefaults().bind(path)
		tried <- err
	}()
	require.True(t, refuses(path), "to the kernel it looks left behind")
	require.ErrorIs(t, receive(t, tried), syscall.EADDRINUSE)
	close(goOn)
	require.NoError(t, receive(t, first))
}

func TestWhatIsNoForsakenSocketStays(t *testing.T) {
	dir := unixDirectory(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("file"), []byte("precious"), 0o600))
	require.NoError(t, os.Mkdir(at("directory"), 0o700))
	require.NoError(t, unix.Mkfifo(at("pipe"), 0o600))
	leave(t, at("left"))
	require.NoError(t, os.Symlink(at("left"), at("link")))
	packets, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at("packets"), Net: "unixgram"})
	require.NoError(t, err)
	defer packets.Close()
	listenAt(t, at("alive"), Options{})
	full(t, at("full"))
	for name, why := range map[string]string{
		"file": ": there is a file that is no socket", "directory": ": there is a directory", "pipe": ": there is a file that is no socket",
		"link": ": there is a symbolic link", "packets": "", "alive": "", "full": "",
	} {
		before := fileAt(at(name))
		_, err := Listen(newWorld().Root, at(name), of(newEcho()), Options{Network: "unix"})
		require.ErrorIs(t, err, syscall.EADDRINUSE, name)
		assert.EqualError(t, err, "berth: listen unix "+at(name)+": bind: address already in use"+why)
		assert.Equal(t, before, fileAt(at(name)), name)
	}
}

// full is a socket that listens and whose backlog has no room for one more client.
func full(t *testing.T, path string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Listen(fd, 0))
	for {
		c, err := new(net.Dialer).DialContext(context.Background(), "unix", path)
		if err != nil {
			require.ErrorIs(t, err, syscall.EAGAIN)
			return
		}
		t.Cleanup(func() { _ = c.Close() })
	}
}

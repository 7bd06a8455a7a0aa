//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

// backlogOf serves l with an acceptor that is held back until the drain, and puts clients into the
// backlog. The drain accepts them.
func backlogOf(t *testing.T, l *net.TCPListener, o Options) (*Listener, []net.Conn) {
	t.Helper()
	o.Connection = brisk
	var socket net.Listener = l
	if o.Transport == Stream {
		socket = &gatedListener{TCPListener: l, open: make(chan struct{})}
	}
	server, err := Serve(newWorld().Root, socket, of(voice("mine")), o)
	require.NoError(t, err)
	server.holdBack()
	var clients []net.Conn
	for range 10 {
		c := dial(t, server)
		_, err := io.WriteString(c, "request")
		require.NoError(t, err)
		clients = append(clients, c)
	}
	require.Zero(t, server.Info().Accepted)
	return server, clients
}

// holdBack lets the acceptor of the poll transport wait as after a failed accept.
func (l *Listener) holdBack() {
	if p := l.server.polling; p != nil {
		p.acceptors()[0].pause.start(patience, func() {})
	}
}

// gatedListener accepts no client until it is called back.
type gatedListener struct {
	*net.TCPListener
	open chan struct{}
	once sync.Once
}

func (l *gatedListener) Accept() (net.Conn, error) {
	<-l.open
	return l.TCPListener.Accept()
}

func (l *gatedListener) SetDeadline(deadline time.Time) error {
	err := l.TCPListener.SetDeadline(deadline)
	if !deadline.IsZero() {
		l.release()
	}
	return err
}

func (l *gatedListener) Close() error {
	l.release()
	return l.TCPListener.Close()
}

func (l *gatedListener) release() { l.once.Do(func() { close(l.open) }) }

// assertHears requires an answer to every client.
func assertHears(t *testing.T, want string, clients ...net.Conn) {
	t.Helper()
	for _, c := range clients {
		_ = c.SetDeadline(time.Now().Add(patience))
		answer := make([]byte, len(want))
		_, err := io.ReadFull(c, answer)
		require.NoError(t, err)
		require.Equal(t, want, string(answer))
	}
}

// assertServes requires that another listener on the same socket serves the clients, and a new one.
func assertServes(t *testing.T, other net.Listener, clients []net.Conn) {
	t.Helper()
	server, err := Serve(newWorld().Root, other, of(voice("other")), Options{Connection: brisk})
	require.NoError(t, err)
	one := dial(t, server)
	_, err = io.WriteString(one, "request")
	require.NoError(t, err)
	assertHears(t, "other", append(clients, one)...)
	require.NoError(t, server.Shutdown(within(t, patience)))
}

// A listener in another process is, to this one, a duplicate of the socket.
func elsewhere(t *testing.T, l *Listener) net.Listener {
	t.Helper()
	files, err := l.Files()
	require.NoError(t, err)
	require.Len(t, files, 1)
	defer closeFiles(files)
	other, err := net.FileListener(files[0])
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close() })
	return other
}

func TestAShutdownLeavesTheBacklogToTheProcessThatHasTheSocketNow(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		l, clients := backlogOf(t, listenOn(t, "tcp", anyPort).(*net.TCPListener), o)
		other := elsewhere(t, l)
		require.NoError(t, l.HandedOver())
		require.NoError(t, l.Shutdown(within(t, patience)))
		assert.Zero(t, l.Info().Accepted)
		assertServes(t, other, clients)
	})
}

// The counterpart: as long as no other process serves the socket, a duplicate of it changes
// nothing.
func TestAShutdownServesTheBacklogOfASocketThatHasFilesOnly(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		l, clients := backlogOf(t, listenOn(t, "tcp", anyPort).(*net.TCPListener), o)
		elsewhere(t, l)
		shutDown := make(chan error, 1)
		go func() { shutDown <- l.Shutdown(within(t, patience)) }()
		assertHears(t, "mine", clients...)
		for _, c := range clients {
			_ = c.Close()
		}
		require.NoError(t, receive(t, shutDown))
		assert.EqualValues(t, len(clients), l.Info().Accepted)
	})
}

// systemd keeps the sockets that it passes. Here the test keeps the socket.
func TestAShutdownLeavesTheBacklogOfAManagedSocketToTheNextProcess(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		kept := listenOn(t, "tcp", anyPort).(*net.TCPListener)
		l, clients := backlogOf(t, inherits(t, kept).(*net.TCPListener), o)
		l.server.origin.managed = true // Serve finds this out of the listener itself, but here a gate may be around it
		require.NoError(t, l.Shutdown(within(t, patience)))
		assertServes(t, kept, clients)
	})
}

// inherits returns l as Inherited would.
func inherits(t *testing.T, l interface{ File() (*os.File, error) }) net.Listener {
	t.Helper()
	inherited, err := listenerOf(fileOf(t, l))
	require.NoError(t, err)
	origins.Store(inherited, origin{name: "kept", managed: true})
	return inherited
}

func TestThePathOfAUnixSocketStaysWithTheProcessThatHasTheSocket(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		o.Network = "unix"
		for says, test := range map[string]struct {
			end  func(t *testing.T, l *Listener)
			stay bool
		}{
			"no other process":             {func(*testing.T, *Listener) {}, false},
			"a duplicate that is not used": {func(t *testing.T, l *Listener) { elsewhere(t, l) }, false},
			"another process":              {func(t *testing.T, l *Listener) { require.NoError(t, l.HandedOver()) }, true},
			"not another process after all": {func(t *testing.T, l *Listener) {
				require.NoError(t, l.HandedOver())
				require.NoError(t, l.server.handOver(false))
			}, false},
		} {
			t.Run(says, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "s")
				l, err := Listen(newWorld().Root, path, of(newEcho()), o)
				require.NoError(t, err)
				test.end(t, l)
				require.NoError(t, l.Close())
				_, err = os.Lstat(path)
				assert.Equal(t, test.stay, err == nil)
			})
		}
		t.Run("a service manager", func(t *testing.T) {
			kept := listenOn(t, "unix", filepath.Join(t.TempDir(), "s")).(*net.UnixListener)
			l, err := Serve(newWorld().Root, inherits(t, kept), of(newEcho()), o)
			require.NoError(t, err)
			require.NoError(t, l.HandedOver())
			require.NoError(t, l.server.handOver(false))
			require.NoError(t, l.Close())
			assertServes(t, kept, nil)
		})
	})
}

func TestAListenerThatHasShutDownHasNothingToHandOver(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		l := newWorld().listen(t, of(newEcho()), o)
		require.NoError(t, l.Close())
		_, err := l.Files()
		assert.Equal(t, ErrClosed, err)
		assert.EqualError(t, l.HandedOver(), "berth: the listener has ended")
	})
}

func TestAListenerWithoutADescriptorHasNoFiles(t *testing.T) {
	l, err := Serve(newWorld().Root, simnet.Listen(simnet.Options{}), of(newEcho()), Options{})
	require.NoError(t, err)
	defer l.Close()
	_, err = l.Files()
	assert.EqualError(t, err, "berth: a *simnet.Listener has no descriptor to hand over")
}

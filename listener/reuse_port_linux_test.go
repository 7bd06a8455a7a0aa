package listener

import (
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// withDescriptors calls do with the descriptor of each of a listener's sockets.
func withDescriptors(t *testing.T, l *Listener, do func(fd int)) {
	t.Helper()
	files, err := l.Files()
	require.NoError(t, err)
	for _, file := range files {
		withDescriptor(t, file, do)
		require.NoError(t, file.Close())
	}
}

// withDescriptor is used instead of file.Fd, which makes the socket a blocking one.
func withDescriptor(t *testing.T, file *os.File, do func(fd int)) {
	t.Helper()
	raw, err := file.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { do(int(fd)) }))
}

// portsAndSockets returns the ports of a listener's sockets, and which sockets they are.
func portsAndSockets(t *testing.T, l *Listener) (ports []int, sockets map[uint64]bool) {
	t.Helper()
	sockets = map[uint64]bool{}
	withDescriptors(t, l, func(fd int) {
		name, err := unix.Getsockname(fd)
		require.NoError(t, err)
		ports = append(ports, name.(*unix.SockaddrInet4).Port)
		sockets[inodeOf(fd)] = true
	})
	return ports, sockets
}

func TestWithReusePortEachAcceptorHasASocketOfItsOwnOnOnePort(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		before, w := descriptors(), newWorld()
		o.Acceptors, o.ReusePort, o.EventLoops, o.Workers, o.Connection = fourAcceptors, true, 2, 2, brisk
		l, err := Listen(w.Root, anyPort, of(&echo{}), o)
		require.NoError(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		ports, sockets := portsAndSockets(t, l)
		assert.Equal(t, []int{port, port, port, port}, ports)
		assert.Len(t, sockets, fourAcceptors)
		serveAll(t, l, 8, 25)
		assert.EqualValues(t, 8*25, l.Info().Accepted)

		l.Suspend() // now they wait in the backlogs, where they can be counted
		const clients = 64
		for range clients {
			_ = dial(t, l)
		}
		var waiting []int
		withDescriptors(t, l, func(fd int) { waiting = append(waiting, acceptAll(fd)) })
		sum, busy := 0, 0
		for _, n := range waiting {
			sum += n
			if n > 0 {
				busy++
			}
		}
		late := func() int { return int(l.Info().Accepted) - 8*25 } // by a loop that was about to when it was suspended
		eventually(t, func() bool { return clients == sum+late() })
		assert.Greater(t, busy, 1, "spread over several: %v", waiting)
		require.NoError(t, l.Resume())
		serveAll(t, l, 8, 5)
		require.NoError(t, l.Shutdown(within(t, patience)))
		assert.Empty(t, w.actors())
		assert.LessOrEqual(t, descriptors(), before+clients, "but for the clients' own")
	})
}

// acceptAll accepts the waiting clients, closes them and returns their number.
func acceptAll(fd int) (n int) {
	for {
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			return n
		}
		_ = unix.Close(conn)
		n++
	}
}

// With few permits, a client at one socket must not wait for a permit that is kept for another.
func TestWithReusePortTheCapHoldsAndNoClientIsForgotten(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for _, most := range []int{1, 3} {
			w, handler := newWorld(), &counting{}
			o.Acceptors, o.ReusePort, o.MaxConnections = fourAcceptors, true, most
			l := w.listen(t, of(handler), o)
			serveAll(t, l, 8, 10)
			assert.LessOrEqual(t, handler.peak.Load(), int64(most))
			eventually(t, func() bool { return l.Info().Open == 0 })
			serveAll(t, l, 1, 2*fourAcceptors)
		}
	})
}

func TestWithReusePortTheUsersOwnControlIsCalledToo(t *testing.T) {
	var calls atomic.Int32
	var set atomic.Bool
	o := Options{Acceptors: fourAcceptors, ReusePort: true}
	o.ListenConfig.Control = func(_, _ string, socket syscall.RawConn) error {
		calls.Add(1)
		return socket.Control(func(fd uintptr) {
			value, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT)
			set.Store(err == nil && value == 1)
		})
	}
	w := newWorld()
	echoes(t, dial(t, w.listen(t, of(&echo{}), o)))
	assert.GreaterOrEqual(t, calls.Load(), int32(fourAcceptors))
	assert.True(t, set.Load())

	before := descriptors()
	o.ListenConfig.Control = func(string, string, syscall.RawConn) error { return errForbidden }
	_, err := Listen(w.Root, anyPort, of(&echo{}), o)
	require.ErrorIs(t, err, errForbidden)
	assert.Equal(t, before, descriptors())
}

// The second of the sockets cannot be opened: nothing is left of the first.
func TestIfOneOfSeveralSocketsCannotBeOpenedNoneIs(t *testing.T) {
	before := descriptors()
	var first atomic.Value
	o := Options{Acceptors: fourAcceptors, ReusePort: true}
	o.ListenConfig.Control = func(_, address string, _ syscall.RawConn) error {
		if !first.CompareAndSwap(nil, address) && first.Load() != address { // the first was asked for port 0
			return errForbidden
		}
		return nil
	}
	w := newWorld()
	_, err := Listen(w.Root, anyPort, of(&echo{}), o)
	require.ErrorIs(t, err, errForbidden)
	assert.Equal(t, before, descriptors())
	assert.Empty(t, w.actors())
}

func TestTwoListenersCanShareAPortWithReusePortAndOnlyThen(t *testing.T) {
	w := newWorld()
	first := w.listen(t, of(&echo{}), Options{ReusePort: true})
	second, err := Listen(w.Root, first.Addr().String(), of(&echo{}), Options{ReusePort: true})
	require.NoError(t, err)
	require.NoError(t, second.Close())
	_, err = Listen(w.Root, first.Addr().String(), of(&echo{}), Options{})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
}

func TestServeHasOneSocketAndRefusesReusePort(t *testing.T) {
	w := newWorld()
	inner, err := net.Listen("tcp", anyPort)
	require.NoError(t, err)
	_, err = Serve(w.Root, inner, of(&echo{}), Options{ReusePort: true})
	require.EqualError(t, err, "berth: ReusePort is for Listen: Serve is given its socket")
	require.NoError(t, inner.Close(), "it is still its maker's")
	assert.Empty(t, w.actors())
}

// If one of several sockets is lost, the others go on serving, and only the lost one is opened
// again.
func TestOneOfSeveralSocketsIsOpenedAgainAlone(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Acceptors, o.ReusePort = fourAcceptors, true
		l := w.listen(t, of(&echo{}), o)
		_, before := portsAndSockets(t, l)
		files, err := l.Files()
		require.NoError(t, err)
		withDescriptor(t, files[2], func(fd int) { require.NoError(t, unix.Shutdown(fd, unix.SHUT_RDWR)) })
		closeFiles(files)
		eventually(t, func() bool { return len(published[*Reopened](w)) == 1 })
		assert.Len(t, published[*AcceptFailed](w), 1)
		ports, after := portsAndSockets(t, l)
		assert.Len(t, ports, fourAcceptors)
		kept := 0
		for socket := range after {
			if before[socket] {
				kept++
			}
		}
		assert.Equal(t, fourAcceptors-1, kept)
		serveAll(t, l, 4, 10)
	})
}

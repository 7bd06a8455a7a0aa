package listener

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// breakSocket shuts the listening sockets down, as another process could that has them too. For a
// unix socket the kernel would report nothing.
func breakSocket(t *testing.T, l *Listener) {
	t.Helper()
	withDescriptors(t, l, func(fd int) { require.NoError(t, unix.Shutdown(fd, unix.SHUT_RDWR)) })
}

func TestASocketClosedByOtherCodeIsOpenedAgainOnTheSameAddress(t *testing.T) {
	for _, acceptors := range []int{1, fourAcceptors} {
		overEach(t, func(t *testing.T, o Options) {
			testReopening(t, o, acceptors)
		})
	}
}

func testReopening(t *testing.T, o Options, acceptors int) {
	w := newWorld()
	o.Acceptors = acceptors
	l := w.listen(t, of(newEcho()), o)
	live := dial(t, l)
	echoes(t, live)
	const times = 3
	for n := range times {
		at := l.Addr().String()
		breakSocket(t, l)
		eventually(t, func() bool { return len(published[*Reopened](w)) == n+1 })
		assert.Equal(t, at, l.Addr().String())
		echoes(t, live)
		echoes(t, dial(t, l))
		assert.True(t, l.Info().Accepting)
	}
	failed := published[*AcceptFailed](w)
	assert.GreaterOrEqual(t, len(failed), times)
	assert.LessOrEqual(t, len(failed), times*o.Acceptors, "one for each acceptor that noticed")
	for _, f := range failed {
		assert.Equal(t, AcceptSocketLost, f.Class)
		require.ErrorIs(t, f.Err, syscall.EINVAL)
		var op *net.OpError
		require.ErrorAs(t, f.Err, &op, "as package net says it")
		assert.Equal(t, "accept tcp "+l.Addr().String()+": accept4: invalid argument", op.Error())
		assert.Positive(t, f.Wait)
	}
	assert.Empty(t, published[*AcceptorFailed](w))
	assert.Len(t, published[*Reopened](w), times)
}

var errForbidden = errors.New("forbidden")

func TestASocketThatCannotBeOpenedAgainAtOnceIsTriedWithBackOff(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		const refused = 4
		w := newWorld()
		var broken atomic.Bool
		o.ListenConfig.Control = func(string, string, syscall.RawConn) error {
			if broken.Load() {
				return errForbidden
			}
			return nil
		}
		l := w.listen(t, of(newEcho()), o)
		live := dial(t, l)
		echoes(t, live)
		broken.Store(true)
		breakSocket(t, l)
		eventually(t, func() bool { return len(published[*AcceptFailed](w)) > refused })
		assert.Empty(t, published[*Reopened](w))
		broken.Store(false)
		eventually(t, func() bool { return len(published[*Reopened](w)) == 1 })
		failed := published[*AcceptFailed](w)
		for n, f := range failed {
			jittered(t, n, f.Wait)
			if n > 0 {
				require.ErrorIs(t, f.Err, errForbidden)
				assert.Equal(t, AcceptUnknown, f.Class)
			}
		}
		echoes(t, live)
		echoes(t, dial(t, l))
	})
}

// Control is the user's code.
func TestAControlThatPanicsWhileASocketIsOpenedAgainFailsTheAcceptorOnly(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		var broken atomic.Bool
		o.ListenConfig.Control = func(string, string, syscall.RawConn) error {
			if broken.Swap(false) {
				panic(errBoom)
			}
			return nil
		}
		l := w.listen(t, of(newEcho()), o)
		live := dial(t, l)
		echoes(t, live)
		broken.Store(true)
		breakSocket(t, l)
		eventually(t, func() bool { return len(published[*Reopened](w)) == 1 })
		require.Len(t, published[*AcceptorFailed](w), 1)
		require.ErrorIs(t, published[*AcceptorFailed](w)[0].Err, errBoom)
		echoes(t, live)
		echoes(t, dial(t, l))
	})
}

func TestWhileASocketIsLostTheListenerCanBeShutDown(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		before := descriptors()
		w := newWorld()
		var broken atomic.Bool
		o.ListenConfig.Control = func(string, string, syscall.RawConn) error {
			if broken.Load() {
				return errForbidden
			}
			return nil
		}
		o.Connection = brisk
		l, err := Listen(w.Root, anyPort, of(newEcho()), o)
		require.NoError(t, err)
		c := dial(t, l)
		echoes(t, c)
		broken.Store(true)
		breakSocket(t, l)
		eventually(t, func() bool { return len(published[*AcceptFailed](w)) > 3 })
		assert.False(t, l.Info().Accepting)
		_, err = l.Files()
		require.ErrorIs(t, err, errNoSocket)
		require.NoError(t, c.Close())
		require.NoError(t, l.Shutdown(within(t, patience)))
		assert.Empty(t, w.actors())
		assert.LessOrEqual(t, descriptors(), before)
	})
}

// A listener made by Serve cannot open another socket. Its socket is tried again and again, as
// after any other failure.
func TestASocketThatServeWasGivenIsNotOpenedAgain(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		inner, err := o.withDefaults().bind(anyPort)
		require.NoError(t, err)
		l, err := Serve(w.Root, inner, of(newEcho()), o)
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		live := dial(t, l)
		echoes(t, live)
		breakSocket(t, l)
		eventually(t, func() bool { return len(published[*AcceptFailed](w)) > 2 })
		echoes(t, live)
		assert.Empty(t, published[*Reopened](w))
	})
}

// steal closes the descriptor of a listener's socket behind its back, and gives its number to
// another file.
func steal(t *testing.T, l *Listener) (bystander int) {
	t.Helper()
	own := l.server.polling.acceptors()[0]
	file, err := own.file()
	require.NoError(t, err)
	var inode uint64
	withDescriptor(t, file, func(fd int) { inode = inodeOf(fd) })
	require.NoError(t, file.Close())
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, entry := range entries {
		fd, _ := strconv.Atoi(entry.Name())
		target, _ := os.Readlink("/proc/self/fd/" + entry.Name())
		if target == fmt.Sprintf("socket:[%d]", inode) {
			null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			require.NoError(t, err)
			require.NoError(t, unix.Dup3(null, fd, unix.O_CLOEXEC)) // which closes it first
			require.NoError(t, unix.Close(null))
			own.mu.Lock()
			socket := own.socket
			own.mu.Unlock()
			socket.Look() // no event would come
			own.Schedule()
			return fd
		}
	}
	require.Fail(t, "it has no descriptor")
	return -1
}

func TestADescriptorClosedByOtherCodeIsGivenUpAndItsNumberLeftAlone(t *testing.T) {
	w := newWorld()
	l := w.listen(t, of(newEcho()), Options{Transport: Poll})
	live := dial(t, l)
	echoes(t, live)
	bystander := steal(t, l)
	eventually(t, func() bool { return len(published[*Reopened](w)) == 1 })
	failed := published[*AcceptFailed](w)
	require.Len(t, failed, 1)
	require.ErrorIs(t, failed[0].Err, syscall.ENOTSOCK)
	echoes(t, live)
	echoes(t, dial(t, l))
	require.NoError(t, l.Close())
	untouched(t, bystander)
}

func untouched(t *testing.T, bystander int) {
	t.Helper()
	target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", bystander))
	require.NoError(t, err)
	require.Equal(t, "/dev/null", target, "it is still its owner's")
	require.NoError(t, unix.Close(bystander))
}

func TestAListenerMadeByServeReportsOnceThatItsDescriptorWasClosed(t *testing.T) {
	w := newWorld()
	inner, err := net.Listen("tcp", anyPort)
	require.NoError(t, err)
	l, err := Serve(w.Root, inner, of(newEcho()), Options{Transport: Poll, Connection: brisk})
	require.NoError(t, err)
	live := dial(t, l)
	echoes(t, live)
	bystander := steal(t, l)
	eventually(t, func() bool { return !l.Info().Accepting && len(published[*AcceptFailed](w)) > 1 })
	failed := published[*AcceptFailed](w)
	require.Len(t, failed, 2)
	require.ErrorIs(t, failed[0].Err, syscall.ENOTSOCK)
	require.ErrorIs(t, failed[1].Err, net.ErrClosed)
	assert.Zero(t, failed[1].Wait, "no more")
	echoes(t, live)
	require.NoError(t, l.Close())
	untouched(t, bystander)
}

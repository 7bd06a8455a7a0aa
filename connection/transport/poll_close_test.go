//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-berth/berth/connection/transport"
)

func TestAnAbortResetsThePeer(t *testing.T) {
	for network, addr := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"} {
		h := newHarbour(t, network, addr, transport.SocketOptions{})
		for _, opened := range []bool{true, false} {
			p, peer := h.accept()
			if opened {
				require.True(t, p.Open(newAnnounced()))
			}
			p.Abort()
			p.Abort()
			_, err := peer.Read(make([]byte, 1))
			require.ErrorIs(t, err, syscall.ECONNRESET)
			assert.NoError(t, p.Close())
			assert.True(t, p.Open(newAnnounced()), "aborted before it was opened: nothing to wait for")
		}
	}
}

func TestAnAbortedUnixSocketIsClosed(t *testing.T) {
	h := newHarbour(t, "unix", "", transport.SocketOptions{})
	p, _, peer := h.connect()
	p.Abort()
	_, err := peer.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
}

func TestAHalfClosedPollIsReadOn(t *testing.T) {
	overPoll(t, transport.SocketOptions{}, func(t *testing.T, h *harbour) {
		p, a, peer := h.connect()
		bring(t, p, a, []byte("closeNotify"))
		require.NoError(t, p.CloseWrite())
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		assert.Equal(t, "closeNotify", string(got))
		_, err = io.WriteString(peer, "and to you")
		require.NoError(t, err)
		got, err = take(t, p, a, 100)
		require.NoError(t, err)
		assert.Equal(t, "and to you", string(got))
		_, err = p.Writev([][]byte{[]byte("x")})
		assert.True(t, transport.IsReset(err), "%v", err)
	})
}

func TestAfterItsEndAPollRefusesEverything(t *testing.T) {
	overPoll(t, transport.SocketOptions{}, func(t *testing.T, h *harbour) {
		for name, end := range map[string]func(*transport.Poll){
			"Close": func(p *transport.Poll) { require.NoError(t, p.Close()) },
			"Abort": (*transport.Poll).Abort,
		} {
			p, a, peer := h.connect()
			_, err := io.WriteString(peer, "unread")
			require.NoError(t, err)
			receive(t, a.readable)
			end(p)
			_, err = p.Fill(new(transport.Input), 10)
			require.ErrorIs(t, err, net.ErrClosed, name)
			_, err = p.Writev([][]byte{[]byte("x")})
			require.ErrorIs(t, err, net.ErrClosed, name)
			_, err = p.SendFile(fileOf(t, []byte("x")), 0, 1)
			require.ErrorIs(t, err, net.ErrClosed, name)
			require.ErrorIs(t, p.CloseWrite(), net.ErrClosed, name)
			require.NoError(t, p.Close(), "once more does nothing")
			p.Abort()
		}
	})
}

// A socket that could not be entered in the poll set would wait for events that never come.
func TestReadsFromASocketThatCannotBeWatchedFail(t *testing.T) {
	h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{})
	h.socket.Close()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	dead, err := transport.NewPollSet()
	require.NoError(t, err)
	socket, err := transport.NewAcceptor(dead, l, func() {})
	require.NoError(t, err)
	peer, err := net.Dial("tcp4", l.Addr().String())
	require.NoError(t, err)
	defer peer.Close()
	p, err := socket.Accept(dead)
	require.NoError(t, err)
	socket.Close()
	dead.Close()

	a := newAnnounced()
	require.True(t, p.Open(a))
	receive(t, a.readable)
	require.True(t, p.Ready(10))
	_, err = p.Fill(new(transport.Input), 10)
	require.Error(t, err)
	require.NotErrorIs(t, err, transport.ErrAgain)
	require.NotErrorIs(t, err, net.ErrClosed)
	assert.True(t, p.Ready(10), "and says it again")
	_, err = p.Writev([][]byte{[]byte("x")})
	require.Error(t, err, "nor would there be room ever again")
	require.NotErrorIs(t, err, transport.ErrAgain)
	require.NoError(t, p.Close())
}

// bystander opens and closes files of its own all the time. If a descriptor of a Poll were closed
// twice, the second close would hit a file that got its number meanwhile.
func bystander(stop <-chan struct{}, hit chan<- error) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			hit <- err
			return
		}
		for range 3 {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
				hit <- errors.New("a foreign descriptor was closed")
				return
			}
		}
		if err := unix.Close(fd); err != nil {
			hit <- errors.New("a foreign descriptor was closed")
			return
		}
		runtime.Gosched()
	}
}

func TestInAStormOfCallsTheDescriptorIsClosedOnceAndNoOthersIs(t *testing.T) {
	const rounds = 150
	overPoll(t, transport.SocketOptions{NoDelay: true}, func(t *testing.T, h *harbour) {
		stop, hit := make(chan struct{}), make(chan error, 2)
		var watch sync.WaitGroup
		for range 2 {
			watch.Go(func() { bystander(stop, hit) })
		}
		file := fileOf(t, []byte("content"))
		for round := range rounds {
			p, _, peer := h.connect()
			_ = peer.SetDeadline(time.Now().Add(patience))
			peerEnded := make(chan struct{})
			go func() {
				defer close(peerEnded)
				_, _ = peer.Write([]byte("hello, this is a piece of text"))
				_, _ = io.Copy(io.Discard, peer)
				_ = peer.Close()
			}()
			var storm sync.WaitGroup
			storm.Go(func() {
				var in transport.Input
				defer in.Release()
				for {
					if _, err := p.Fill(&in, 4); err != nil && err != transport.ErrAgain {
						return
					}
					in.Release()
					runtime.Gosched()
				}
			})
			storm.Go(func() {
				for {
					if _, err := p.Writev([][]byte{[]byte("he"), []byte("llo")}); err != nil && err != transport.ErrAgain {
						return
					}
					_, _ = p.SendFile(file, 0, 1)
					_ = p.LocalAddr()
					runtime.Gosched()
				}
			})
			storm.Go(func() {
				time.Sleep(time.Duration(round%5) * 50 * time.Microsecond)
				p.Abort()
			})
			storm.Go(func() {
				time.Sleep(time.Duration(round%7) * 40 * time.Microsecond)
				_ = p.CloseWrite()
				_ = p.Close()
			})
			storm.Wait()
			<-peerEnded // not before our descriptor is really closed
		}
		close(stop)
		watch.Wait()
		assert.Empty(t, hit)
	})
}

package faultnet_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/go-berth/berth/test/faultnet"
	"github.com/go-berth/berth/test/simnet"
)

func TestAConnectionThroughANetworkIsANetConn(t *testing.T) {
	for says, toxics := range map[string][]faultnet.Toxic{
		"nothing": nil,
		"noop":    {faultnet.Noop{}},
		"slicer":  {faultnet.Slicer{Size: 1000, Variation: 999}},
		"latency": {faultnet.Latency{Delay: 50 * time.Microsecond, Jitter: 50 * time.Microsecond}},
	} {
		t.Run(says, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				outside, peer := simnet.Pipe(simnet.Options{})
				network := faultnet.NewNetwork(seed, toxics...)
				user := network.Conn(outside)
				return user, peer, func() { _ = user.Close(); _ = peer.Close(); network.Close() }, nil
			})
		})
	}
}

func TestTheSameSeedMakesTheSameChoices(t *testing.T) {
	history := func(seed uint64) (times []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			l := open(t, seed, faultnet.Latency{Delay: sec, Jitter: sec}, faultnet.Slicer{Size: 20, Variation: 10, Delay: ms})
			defer l.close()
			for range 20 {
				l.write(l.user, strings.Repeat("x", 100))
				synctest.Wait()
			}
			closeWrite(t, l.user)
			got, err := l.arrivals(l.peer)
			require.NoError(t, err)
			for _, a := range got {
				times = append(times, a.at, time.Duration(len(a.text)))
			}
		})
		return times
	}
	first, again, other := history(1), history(1), history(2)
	assert.Equal(t, first, again)
	assert.NotEqual(t, first, other)
}

func TestEveryConnectionOfANetworkMakesItsOwnChoices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := faultnet.NewNetwork(seed, faultnet.Latency{Delay: sec, Jitter: sec})
		defer network.Close()
		delays := map[time.Duration]bool{}
		for range 10 {
			outside, peer := simnet.Pipe(simnet.Options{})
			user := network.Conn(outside)
			began := time.Now()
			for _, way := range [][2]net.Conn{{user, peer}, {peer, user}} {
				_, err := way[0].Write([]byte("x"))
				require.NoError(t, err)
				_, err = way[1].Read(make([]byte, 1))
				require.NoError(t, err)
				delays[time.Since(began)] = true
			}
			_ = user.Close()
			_ = peer.Close()
		}
		assert.Len(t, delays, 20)
	})
}

func TestHealingLetsEverythingThroughAtOnce(t *testing.T) {
	for _, toxic := range []faultnet.Toxic{
		faultnet.Latency{Delay: time.Hour}, faultnet.Bandwidth{BytesPerSecond: 1}, faultnet.SlowClose{Delay: time.Hour}, faultnet.Timeout{After: time.Hour},
		faultnet.ResetPeer{After: time.Hour}, faultnet.Slicer{Size: 1, Delay: time.Hour}, faultnet.Noop{},
	} {
		t.Run(fmt.Sprintf("%T", toxic), func(t *testing.T) {
			eachWay(t, func(l *line, from, to net.Conn) {
				l.write(from, "hello")
				time.Sleep(sec)
				l.network.Heal()
				l.network.Heal()
				l.write(from, " world")
				closeWrite(l.t, from)
				got, err := io.ReadAll(to)
				require.NoError(l.t, err)
				assert.Equal(l.t, "hello world", string(got))
				assert.Equal(l.t, sec, l.since())
				time.Sleep(2 * time.Hour) // the toxic's plan is dropped
				l.write(to, "back")
				p := make([]byte, 4)
				_, err = io.ReadFull(from, p)
				require.NoError(l.t, err)
			}, toxic)
			eachWay(t, func(l *line, from, to net.Conn) {
				l.write(from, "hello")
				closeWrite(l.t, from)
				time.AfterFunc(sec, l.network.Heal)
				got, err := io.ReadAll(to)
				require.NoError(l.t, err)
				assert.Equal(l.t, "hello", string(got))
				assert.LessOrEqual(l.t, l.since(), sec)
			}, toxic)
		})
	}
}

func TestAConnectionOfAHealedNetworkIsLikeAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := faultnet.NewNetwork(seed, faultnet.ResetPeer{}, faultnet.Timeout{})
		defer network.Close()
		network.Heal()
		began := time.Now()
		outside, peer := simnet.Pipe(simnet.Options{})
		user := network.Conn(outside)
		_, err := io.WriteString(peer, "hello")
		require.NoError(t, err)
		require.NoError(t, peer.CloseWrite())
		got, err := io.ReadAll(user)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(got))
		assert.Zero(t, time.Since(began))
	})
}

func TestAWriteToANetworkThatHoldsEverythingBackIsHeldUp(t *testing.T) {
	eachWay(t, func(l *line, from, _ net.Conn) {
		require.NoError(l.t, from.SetWriteDeadline(time.Now().Add(sec)))
		n, err := from.Write(make([]byte, 10<<20))
		assert.ErrorContains(l.t, err, "timeout")
		assert.Less(l.t, n, 256<<10)
	}, faultnet.Timeout{})
}

func TestEndsPassThroughANetwork(t *testing.T) {
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, "hello")
		closeWrite(l.t, from)
		l.expect(to, sec, arrival{sec, "hello"})
		l.write(to, "the other way is open")
		require.NoError(l.t, to.Close())
		l.expect(from, 2*sec, arrival{2 * sec, "the other way is open"})
		synctest.Wait()
		l.network.Close()
	}, faultnet.Latency{Delay: sec})
	eachWay(t, func(l *line, from, to net.Conn) {
		resets(l.t, from)
		_, err := l.arrivals(to)
		assert.ErrorIs(l.t, err, syscall.ECONNRESET)
		assert.Equal(l.t, sec, l.since())
	}, faultnet.Latency{Delay: sec})
	eachWay(t, func(l *line, from, to net.Conn) {
		require.NoError(l.t, to.Close())
		time.Sleep(sec)
		var err error
		for range 3 { // one to the network, one that meets the reset which that provoked, one that is told
			time.Sleep(sec)
			_, err = from.Write([]byte("to no peer"))
		}
		assert.Error(l.t, err)
	})
}

func TestCloseResetsTheConnectionsOfANetwork(t *testing.T) {
	eachWay(t, func(l *line, from, to net.Conn) {
		l.write(from, "never arrives")
		l.network.Close()
		for _, end := range []net.Conn{from, to} {
			_, err := end.Read(make([]byte, 100))
			assert.ErrorIs(l.t, err, syscall.ECONNRESET)
		}
	}, faultnet.Timeout{})
}

func TestAConnectionHasTheAddressesOfTheOneOutside(t *testing.T) {
	inBubble(t, func(l *line) {
		assert.Equal(t, l.peer.RemoteAddr(), l.user.LocalAddr())
		assert.Equal(t, l.peer.LocalAddr(), l.user.RemoteAddr())
	})
}

func TestOverRealSocketsToo(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	network := faultnet.NewNetwork(seed, faultnet.Slicer{Size: 3, Variation: 2}, faultnet.Latency{Delay: ms})
	l := network.Listener(inner)
	defer l.Close()
	defer network.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer peer.Close()
	user, err := l.Accept()
	require.NoError(t, err)
	defer user.Close()
	_, err = io.WriteString(peer, "hello")
	require.NoError(t, err)
	closeWrite(t, peer)
	got, err := io.ReadAll(user)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
	assert.Equal(t, peer.LocalAddr(), user.RemoteAddr())
}

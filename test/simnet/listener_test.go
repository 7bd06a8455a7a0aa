package simnet_test

import (
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

func TestABlockedAcceptIsDurablyBlockedAndADialFreesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{})
		accepting := startAccept(l)
		accepting.blocked(t)
		_, err := l.Dial(t.Context())
		require.NoError(t, err)
		_, err = accepting.returned(t)
		require.NoError(t, err)
	})
}

func TestAddressesNameBothEndsAndSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{Name: "server"})
		client, server := connect(t, l)
		second, _ := connect(t, l)
		require.Equal(t, "sim", l.Addr().Network())
		require.Equal(t, l.Addr(), server.LocalAddr())
		require.Equal(t, l.Addr(), client.RemoteAddr())
		require.Equal(t, client.LocalAddr(), server.RemoteAddr())
		require.NotEqual(t, client.LocalAddr(), second.LocalAddr())
		host, _, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		require.Equal(t, "server", host)
	})
}

func TestConnectionsAreAcceptedInTheOrderOfTheirDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{})
		first, err := l.Dial(t.Context())
		require.NoError(t, err)
		_, err = l.Dial(t.Context())
		require.NoError(t, err)
		server, err := l.Accept()
		require.NoError(t, err)
		require.Equal(t, first.LocalAddr(), server.RemoteAddr())
	})
}

func TestCloseFreesAcceptAndDialAndResetsWhatWasNotAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{Backlog: 1})
		accepting := startAccept(l)
		accepting.blocked(t)
		live, err := l.Dial(t.Context())
		require.NoError(t, err)
		_, err = accepting.returned(t)
		require.NoError(t, err)
		orphan, err := l.Dial(t.Context())
		require.NoError(t, err)
		dialing := startDial(t.Context(), l)
		dialing.blocked(t)

		require.NoError(t, l.Close())
		_, err = dialing.returned(t)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		_, err = orphan.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		startRead(live, 1).blocked(t)
		require.NoError(t, live.Close())
	})
}

func TestAConnectionIsOpenUntilBothEndsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{})
		client, server := connect(t, l)
		orphan, err := l.Dial(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, l.Open())

		require.NoError(t, client.Close())
		require.Equal(t, 2, l.Open())
		require.NoError(t, server.Close())
		require.Equal(t, 1, l.Open())

		require.NoError(t, l.Close())
		require.NoError(t, orphan.Close())
		require.Zero(t, l.Open())
	})
}

func TestAClientThatWentAwayIsStillAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{})
		client, err := l.Dial(t.Context())
		require.NoError(t, err)
		require.NoError(t, client.Reset())
		server, err := l.Accept()
		require.NoError(t, err)
		_, err = server.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

func TestAClosedListenerRefusesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{})
		accepting := startAccept(l)
		accepting.blocked(t)
		require.NoError(t, l.Close())
		_, err := accepting.returned(t)
		require.ErrorIs(t, err, net.ErrClosed)

		_, err = l.Accept()
		require.ErrorIs(t, err, net.ErrClosed)
		require.IsType(t, &net.OpError{}, err)
		_, err = l.Dial(t.Context())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.IsType(t, &net.OpError{}, err)
		require.ErrorIs(t, l.Close(), net.ErrClosed)
		require.ErrorIs(t, l.SetDeadline(time.Now()), net.ErrClosed)
	})
}

func TestAnAcceptEndsAtTheListenersDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{})
		begin := time.Now()
		require.NoError(t, l.SetDeadline(begin.Add(time.Second)))
		_, err := l.Accept()
		requireTimeout(t, err)
		require.Equal(t, time.Second, time.Since(begin))

		require.NoError(t, l.SetDeadline(time.Time{}))
		accepting := startAccept(l)
		accepting.blocked(t)
		require.NoError(t, l.SetDeadline(longAgo))
		_, err = accepting.returned(t)
		requireTimeout(t, err)
	})
}

package simnet_test

import (
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

func TestAfterCloseWriteTheOtherDirectionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		write(t, a, "request")
		require.NoError(t, a.CloseWrite())
		_, err := a.Write([]byte("more"))
		require.ErrorIs(t, err, syscall.EPIPE)

		request, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "request", string(request))

		write(t, b, "reply")
		require.NoError(t, b.CloseWrite())
		reply, err := io.ReadAll(a)
		require.NoError(t, err)
		require.Equal(t, "reply", string(reply))

		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
}

func TestTheEndOfTheStreamIsBareAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		require.NoError(t, a.CloseWrite())
		for range 2 {
			_, err := b.Read(make([]byte, 1))
			require.Equal(t, io.EOF, err)
		}
	})
}

func TestCloseWriteFreesABlockedWriteButKeepsWhatItWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{BufferSize: 4})
		writing := startWrite(a, 10)
		writing.blocked(t)
		require.NoError(t, a.CloseWrite())
		n, err := writing.returned(t)
		require.ErrorIs(t, err, syscall.EPIPE)
		require.Equal(t, 4, n)
		all, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Len(t, all, 4)
	})
}

func TestCloseReadEndsReadingHereAndIsNotSeenThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		reading := startRead(a, 1)
		reading.blocked(t)
		require.NoError(t, a.CloseRead())
		_, err := reading.returned(t)
		require.Equal(t, io.EOF, err)

		write(t, b, "still sent")
		require.Equal(t, "still sent", read(t, a), "Linux keeps what arrives")
		write(t, a, "still open")
		require.Equal(t, "still open", read(t, b))
	})
}

func TestInputForAnEndWithBothHalvesShutResetsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		require.NoError(t, a.CloseRead())
		require.NoError(t, a.CloseWrite())
		write(t, b, "x")
		_, err := b.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		_, err = a.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

func TestNeitherHalfOfAClosedConnectionCanBeShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		require.NoError(t, a.Reset())
		require.ErrorIs(t, a.CloseRead(), net.ErrClosed)
		require.ErrorIs(t, a.CloseWrite(), net.ErrClosed)
		require.ErrorIs(t, b.CloseRead(), syscall.ENOTCONN)
		require.ErrorIs(t, b.CloseWrite(), syscall.ENOTCONN)
	})
}

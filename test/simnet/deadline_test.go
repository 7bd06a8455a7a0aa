package simnet_test

import (
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

func requireTimeout(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var netErr net.Error
	require.ErrorAs(t, err, &netErr)
	require.True(t, netErr.Timeout())
}

func TestAReadEndsExactlyAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := simnet.Pipe(simnet.Options{})
		begin := time.Now()
		require.NoError(t, a.SetReadDeadline(begin.Add(time.Second)))
		_, err := a.Read(make([]byte, 1))
		requireTimeout(t, err)
		require.Equal(t, time.Second, time.Since(begin))
	})
}

func TestAWriteTellsAtItsDeadlineHowMuchItWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{BufferSize: 10})
		begin := time.Now()
		require.NoError(t, a.SetWriteDeadline(begin.Add(time.Second)))
		n, err := a.Write(make([]byte, 25))
		requireTimeout(t, err)
		require.Equal(t, 10, n)
		require.Equal(t, time.Second, time.Since(begin))

		require.NoError(t, a.Close())
		all, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Len(t, all, n, "what was written goes out")
	})
}

func TestADeadlineIsOfItsOwnDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		require.NoError(t, a.SetReadDeadline(time.Now()))
		write(t, a, "x")
		require.Equal(t, "x", read(t, b))

		require.NoError(t, b.SetWriteDeadline(time.Now()))
		write(t, a, "y")
		require.Equal(t, "y", read(t, b))
		_, err := b.Write([]byte("x"))
		requireTimeout(t, err)
	})
}

func TestADeadlineInThePastFreesBlockedCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := simnet.Pipe(simnet.Options{BufferSize: 1})
		reading, writing, inLine := startRead(a, 1), startWrite(a, 2), startWrite(a, 2)
		reading.blocked(t)
		writing.blocked(t)
		inLine.blocked(t)
		require.NoError(t, a.SetDeadline(longAgo))
		for _, c := range []*call{reading, writing, inLine} {
			_, err := c.returned(t)
			requireTimeout(t, err)
		}
	})
}

func TestADeadlineInThePastFailsWhatNeedNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		write(t, b, "x")
		require.NoError(t, a.SetDeadline(longAgo))
		_, err := a.Read(make([]byte, 1))
		requireTimeout(t, err)
		_, err = a.Write([]byte("x"))
		requireTimeout(t, err)

		require.NoError(t, a.SetDeadline(time.Time{}))
		require.Equal(t, "x", read(t, a), "nothing was lost")
	})
}

func TestADeadlineCanBeMovedUnderABlockedRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := simnet.Pipe(simnet.Options{})
		begin := time.Now()
		require.NoError(t, a.SetReadDeadline(begin.Add(time.Second)))
		reading := startRead(a, 1)
		reading.blocked(t)
		require.NoError(t, a.SetReadDeadline(begin.Add(time.Minute)))
		time.Sleep(time.Minute - 1)
		reading.blocked(t)
		time.Sleep(1)
		_, err := reading.returned(t)
		requireTimeout(t, err)
	})
}

func TestADeadlineAndAnArrivalComeEachAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{Latency: latency})
		begin := time.Now()
		write(t, a, "x")
		require.NoError(t, b.SetReadDeadline(begin.Add(latency/2)))
		_, err := b.Read(make([]byte, 1))
		requireTimeout(t, err)
		require.Equal(t, latency/2, time.Since(begin))

		require.NoError(t, b.SetReadDeadline(begin.Add(2*latency)))
		require.Equal(t, "x", read(t, b))
		require.Equal(t, latency, time.Since(begin))
	})
}

func TestNoDeadlineCanBeSetOnAClosedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := simnet.Pipe(simnet.Options{})
		require.NoError(t, a.Close())
		require.ErrorIs(t, a.SetDeadline(time.Now()), net.ErrClosed)
		require.ErrorIs(t, a.SetReadDeadline(time.Now()), net.ErrClosed)
		require.ErrorIs(t, a.SetWriteDeadline(time.Now()), net.ErrClosed)
	})
}

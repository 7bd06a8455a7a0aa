package simnet_test

import (
	"io"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

const latency = 30 * time.Millisecond

func TestEverythingTakesExactlyTheLatency(t *testing.T) {
	for name, arrives := range map[string]struct {
		send func(*simnet.Conn) error
		want error
	}{
		"Data":  {func(c *simnet.Conn) error { _, err := c.Write([]byte("x")); return err }, nil},
		"End":   {(*simnet.Conn).CloseWrite, io.EOF},
		"Close": {(*simnet.Conn).Close, io.EOF},
		"Reset": {(*simnet.Conn).Reset, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := simnet.Pipe(simnet.Options{Latency: latency})
				reading := startRead(b, 1)
				reading.blocked(t)
				sent := time.Now()
				require.NoError(t, arrives.send(a))

				time.Sleep(latency - 1)
				reading.blocked(t)
				time.Sleep(1)
				_, err := reading.returned(t)
				require.ErrorIs(t, err, arrives.want)
				require.Equal(t, latency, time.Since(sent))
			})
		})
	}
}

func TestARoundTripTakesTwiceTheLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{Latency: latency})
		go io.Copy(b, b)
		sent := time.Now()
		write(t, a, "ping")
		require.Equal(t, "ping", read(t, a))
		require.Equal(t, 2*latency, time.Since(sent))
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
	})
}

func TestWritesUnderWayArriveEachInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{Latency: latency})
		first := time.Now()
		write(t, a, "1")
		time.Sleep(latency / 3)
		write(t, a, "2")

		require.Equal(t, "1", read(t, b))
		require.Equal(t, latency, time.Since(first))
		require.Equal(t, "2", read(t, b))
		require.Equal(t, latency+latency/3, time.Since(first))
	})
}

func TestAWriteToAClosedPeerIsAnsweredAfterARoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{Latency: latency})
		require.NoError(t, b.Close())
		write(t, a, "x")

		time.Sleep(2*latency - 1)
		write(t, a, "not yet")
		time.Sleep(1)
		_, err := a.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE, "the end of the stream had come before the reset")
	})
}

func TestMoreThanAWindowTakesMoreThanOneLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{Latency: latency, BufferSize: 10, Window: 5})
		sent := time.Now()
		write(t, a, "1234567890")
		require.Equal(t, "12345", read(t, b))
		require.Equal(t, "67890", read(t, b))
		require.Equal(t, 2*latency, time.Since(sent))
	})
}

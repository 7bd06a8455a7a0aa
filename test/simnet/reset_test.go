package simnet_test

import (
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

// resets are the ways of sending one.
var resets = map[string]func(t *testing.T, c *simnet.Conn){
	"Reset": func(t *testing.T, c *simnet.Conn) { require.NoError(t, c.Reset()) },
	"SetLinger": func(t *testing.T, c *simnet.Conn) {
		require.NoError(t, c.SetLinger(0))
		require.NoError(t, c.Close())
	},
}

func TestAResetFreesABlockedReadAndABlockedWrite(t *testing.T) {
	for name, reset := range resets {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := simnet.Pipe(simnet.Options{BufferSize: 4})
				writing := startWrite(b, 10)
				writing.blocked(t)
				reset(t, a)
				n, err := writing.returned(t)
				require.ErrorIs(t, err, syscall.ECONNRESET)
				require.Equal(t, 4, n)

				a, b = simnet.Pipe(simnet.Options{})
				reading := startRead(b, 1)
				reading.blocked(t)
				reset(t, a)
				_, err = reading.returned(t)
				require.ErrorIs(t, err, syscall.ECONNRESET)
			})
		})
	}
}

func TestAWriteThatProvokesAResetItselfDoesNotWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{BufferSize: 4})
		require.NoError(t, b.Close())
		n, err := startWrite(a, 10).returned(t) // the first four arrive at a closed end
		require.ErrorIs(t, err, syscall.EPIPE)
		require.Equal(t, 4, n)
	})
}

func TestOfSeveralWritesTheOneUnderWayHearsOfAReset(t *testing.T) {
	for name, latency := range map[string]time.Duration{"Near": 0, "Far": latency} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := simnet.Pipe(simnet.Options{BufferSize: 1, Latency: latency})
				underWay := startWrite(b, 2)
				underWay.blocked(t)
				var inLine [8]*call
				for i := range inLine {
					inLine[i] = startWrite(b, 1)
				}
				synctest.Wait()
				require.NoError(t, a.Reset())
				time.Sleep(latency)
				n, err := underWay.returned(t)
				require.ErrorIs(t, err, syscall.ECONNRESET)
				require.Equal(t, 1, n)
				for _, c := range inLine {
					n, err := c.returned(t)
					require.ErrorIs(t, err, syscall.EPIPE)
					require.Zero(t, n)
				}
			})
		})
	}
}

func TestWhatArrivedBeforeAResetStaysReadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		write(t, a, "hello")
		require.NoError(t, a.Reset())
		require.Equal(t, "hello", read(t, b))
		_, err := b.Read(make([]byte, 1))
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

func TestAResetIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		require.NoError(t, a.Reset())
		_, err := b.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.ECONNRESET)
		_, err = b.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPIPE)
		_, err = b.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	})
}

func TestAnotherLingerThanZeroLeavesCloseInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		require.NoError(t, a.SetLinger(0))
		require.NoError(t, a.SetLinger(-1))
		require.NoError(t, a.Close())
		_, err := b.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err)
	})
}

func TestAClosedConnectionRefusesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := simnet.Pipe(simnet.Options{})
		require.NoError(t, a.Close())
		_, readErr := a.Read(nil)
		_, writeErr := a.Write(nil)
		for _, err := range []error{readErr, writeErr, a.Close(), a.Reset(), a.SetLinger(0)} {
			require.ErrorIs(t, err, net.ErrClosed)
			require.IsType(t, &net.OpError{}, err)
		}
	})
}

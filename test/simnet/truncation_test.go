package simnet_test

import (
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

func TestCloseWithNothingUnreadDeliversAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{BufferSize: 10, Window: 4})
		write(t, a, "0123456789")
		require.NoError(t, a.Close())
		all, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "0123456789", string(all))
	})
}

// The trap: the same Close cuts the reply short, because the last input was not read.
func TestCloseWithUnreadInputCutsTheReplyShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{BufferSize: 10, Window: 4})
		write(t, b, "QUIT")
		write(t, a, "0123456789")
		require.NoError(t, a.Close())
		all, err := io.ReadAll(b)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.Equal(t, "0123", string(all), "what had left the sender")
	})
}

func TestInputAfterCloseCutsTheReplyShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{BufferSize: 10, Window: 4})
		write(t, a, "0123456789")
		require.NoError(t, a.Close())
		write(t, b, "QUIT")
		all, err := io.ReadAll(b)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.Equal(t, "0123", string(all))
	})
}

func TestHalfOfTheDefaultBufferIsLostInTheTrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		write(t, b, "QUIT")
		write(t, a, strings.Repeat("x", 64<<10))
		require.NoError(t, a.Close())
		all, _ := io.ReadAll(b)
		require.Len(t, all, 32<<10)
	})
}

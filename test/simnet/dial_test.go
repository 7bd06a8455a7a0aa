package simnet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

func TestADialTakesARoundTripAndNeedsNoAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{Latency: latency})
		begin := time.Now()
		client, err := l.Dial(context.Background())
		require.NoError(t, err)
		require.Equal(t, 2*latency, time.Since(begin))

		write(t, client, "early")
		server, err := l.Accept()
		require.NoError(t, err)
		require.Equal(t, "early", read(t, server.(*simnet.Conn)))
	})
}

func TestAFullBacklogBlocksADialUntilAnAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{Backlog: 2})
		for range 2 {
			_, err := l.Dial(t.Context())
			require.NoError(t, err)
		}
		dialing := startDial(t.Context(), l)
		dialing.blocked(t)
		_, err := l.Accept()
		require.NoError(t, err)
		_, err = dialing.returned(t)
		require.NoError(t, err)
	})
}

func TestADialEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{Backlog: 1})
		_, err := l.Dial(t.Context())
		require.NoError(t, err)

		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = l.Dial(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begin))

		l.Partition()
		ctx, cancel = context.WithCancel(t.Context())
		dialing := startDial(ctx, l)
		dialing.blocked(t)
		cancel()
		_, err = dialing.returned(t)
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestADialCutByAPartitionIsMadeAgainWhenItHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{Latency: latency})
		dialing := startDial(t.Context(), l)
		time.Sleep(latency)
		l.Partition()
		time.Sleep(time.Hour)
		dialing.blocked(t)
		l.Heal()
		time.Sleep(2*latency - 1)
		dialing.blocked(t)
		time.Sleep(1)
		_, err := dialing.returned(t)
		require.NoError(t, err)
	})
}

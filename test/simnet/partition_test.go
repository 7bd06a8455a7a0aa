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

func TestAPartitionHoldsBothDirectionsAndHealLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{Latency: latency})
		write(t, a, "under way, ")
		time.Sleep(latency / 2)
		a.Partition()
		write(t, a, "held")
		write(t, b, "reply")
		require.NoError(t, a.CloseWrite())

		forth, back := startRead(b, 1), startRead(a, 5)
		time.Sleep(time.Hour)
		forth.blocked(t)
		back.blocked(t)

		b.Heal()
		healed := time.Now()
		time.Sleep(latency - 1)
		forth.blocked(t) // also what was under way is sent anew
		time.Sleep(1)
		_, err := forth.returned(t)
		require.NoError(t, err)
		rest, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "nder way, held", string(rest))
		require.Equal(t, latency, time.Since(healed))
		n, err := back.returned(t)
		require.NoError(t, err)
		require.Equal(t, len("reply"), n)
	})
}

func TestWhatHadArrivedIsReadableInAPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{Latency: latency})
		write(t, a, "before")
		time.Sleep(latency)
		a.Partition()
		write(t, a, "after")
		require.Equal(t, "before", read(t, b))
		startRead(b, 1).blocked(t)
		require.NoError(t, b.Close())
	})
}

func TestAWriteBlocksInAPartitionOnlyWhenTheBufferIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{BufferSize: 8})
		a.Partition()
		write(t, a, "12345678")
		writing := startWrite(a, 1)
		writing.blocked(t)
		a.Heal()
		writing.blocked(t) // the bytes went over, but they have not been read
		require.Equal(t, "1234", read(t, b))
		_, err := writing.returned(t)
		require.NoError(t, err)
	})
}

func TestAnEndClosedInAPartitionDeliversAllAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		a.Partition()
		write(t, a, "last words")
		require.NoError(t, a.Close())
		reading := startRead(b, 4)
		reading.blocked(t)
		a.Heal()
		_, err := reading.returned(t)
		require.NoError(t, err)
		all, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, " words", string(all))
	})
}

func TestAnEndResetInAPartitionDeliversOnlyTheReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{Latency: latency})
		write(t, a, "under way")
		a.Partition()
		write(t, a, "held")
		require.NoError(t, a.Reset())
		reading := startRead(b, 1)
		time.Sleep(time.Hour)
		reading.blocked(t)
		a.Heal()
		time.Sleep(latency)
		_, err := reading.returned(t)
		require.ErrorIs(t, err, syscall.ECONNRESET)
	})
}

func TestPartitionAndHealMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{Latency: latency})
		a.Heal()
		write(t, a, "1")
		sent := time.Now()
		time.Sleep(latency / 2)
		a.Heal() // of what is whole: nothing is sent anew
		require.Equal(t, "1", read(t, b))
		require.Equal(t, latency, time.Since(sent))

		a.Partition()
		a.Partition()
		write(t, a, "2")
		a.Heal()
		require.Equal(t, "2", read(t, b))
	})
}

func TestAListenersPartitionCutsAllItsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := simnet.Listen(simnet.Options{})
		client1, server1 := connect(t, l)
		client2, server2 := connect(t, l)
		l.Partition()
		write(t, client1, "one")
		write(t, server2, "two")
		first, second, dialing := startRead(server1, 3), startRead(client2, 3), startDial(t.Context(), l)
		first.blocked(t)
		second.blocked(t)
		dialing.blocked(t)

		l.Heal()
		for _, c := range []*call{first, second, dialing} {
			_, err := c.returned(t)
			require.NoError(t, err)
		}
	})
}

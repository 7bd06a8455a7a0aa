package simnet_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

func TestABlockedReadIsDurablyBlockedAndAWriteFreesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		reading := startRead(b, 10)
		reading.blocked(t)
		write(t, a, "abc")
		n, err := reading.returned(t)
		require.NoError(t, err)
		require.Equal(t, 3, n)
	})
}

func TestABlockedCallLetsTimePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{BufferSize: 1})
		reading, writing, waiting := startRead(a, 1), startWrite(a, 2), startWrite(a, 1)
		time.Sleep(24 * time.Hour)
		reading.blocked(t)
		require.NoError(t, b.Reset())
		_, _ = reading.returned(t)
		_, _ = writing.returned(t)
		_, _ = waiting.returned(t)
	})
}

func TestAWriteBlocksWhenTheBufferIsFullUntilThePeerReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 10
		a, b := simnet.Pipe(simnet.Options{BufferSize: size})
		write(t, a, strings.Repeat("x", size))
		writing := startWrite(a, 1)
		writing.blocked(t)
		_, err := b.Read(make([]byte, 1))
		require.NoError(t, err)
		n, err := writing.returned(t)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

func TestTheRoomOfAPeerIsWhatItCouldWriteWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{BufferSize: 10, Window: 4, Latency: time.Second})
		room := func(want int, open bool) {
			n, is := b.PeerRoom()
			require.Equal(t, want, n)
			require.Equal(t, open, is)
		}
		room(10, true)
		write(t, a, "1234567")
		room(3, true)
		require.Equal(t, "1234", read(t, b))
		room(7, true)
		b.Partition()
		write(t, a, "1234567")
		room(0, true)
		b.Heal()
		require.NoError(t, a.CloseWrite())
		room(0, false)
	})
}

func TestTheSmallestBufferPassesBytesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{BufferSize: 1})
		go func() { _, _ = io.WriteString(a, "abc"); a.Close() }()
		all, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, "abc", string(all))
	})
}

func TestTheDefaultBufferHolds64KiBInEachDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := simnet.Pipe(simnet.Options{})
		for _, c := range []*simnet.Conn{a, b} {
			write(t, c, strings.Repeat("x", 64<<10))
			startWrite(c, 1).blocked(t)
		}
		require.NoError(t, a.Reset())
	})
}

func TestCloseFreesBlockedCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := simnet.Pipe(simnet.Options{BufferSize: 4})
		reading, writing := startRead(a, 1), startWrite(a, 10)
		reading.blocked(t)
		writing.blocked(t)
		require.NoError(t, a.Close())
		n, err := reading.returned(t)
		require.ErrorIs(t, err, net.ErrClosed)
		require.Zero(t, n)
		n, err = writing.returned(t)
		require.ErrorIs(t, err, net.ErrClosed)
		require.Equal(t, 4, n)
	})
}

func TestAWriteWaitsForTheOneUnderWayAlsoIfThereIsRoom(t *testing.T) {
	for range 20 { // which one gets the room first is up to the scheduler
		synctest.Test(t, func(t *testing.T) {
			a, b := simnet.Pipe(simnet.Options{BufferSize: 4})
			underWay := start(func() (int, error) { return io.WriteString(a, "123456789") })
			underWay.blocked(t)
			all := bytes.NewBufferString(read(t, b))
			go func() { _, _ = io.WriteString(a, "0"); a.Close() }()
			_, err := all.ReadFrom(b)
			require.NoError(t, err)
			require.Equal(t, "1234567890", all.String())
		})
	}
}

func TestConcurrentWritesAreNotInterleaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 100
		a, b := simnet.Pipe(simnet.Options{BufferSize: 7})
		var writers sync.WaitGroup
		for _, letter := range []string{"a", "b", "c"} {
			writers.Go(func() { _, _ = io.WriteString(a, strings.Repeat(letter, size)) })
		}
		go func() { writers.Wait(); a.Close() }()

		all, err := io.ReadAll(iotest.OneByteReader(b)) // so that there is room for others while one waits
		require.NoError(t, err)
		require.Len(t, all, 3*size)
		for ; len(all) > 0; all = all[size:] {
			require.Equal(t, strings.Repeat(string(all[:1]), size), string(all[:size]))
		}
	})
}

func TestNoBytesNeedNoWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := simnet.Pipe(simnet.Options{BufferSize: 1})
		write(t, a, "x")
		n, err := a.Write(nil)
		require.NoError(t, err)
		require.Zero(t, n)
		n, err = a.Read(nil)
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

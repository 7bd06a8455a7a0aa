package listener

import (
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// sparse returns a file of a length.
func sparse(t *testing.T, length int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	require.NoError(t, f.Truncate(length))
	return f
}

func TestCountsOfBytesDoNotBeginAnewAboveTheirMost(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		e := newEcho()
		dial(t, newWorld().listen(t, of(e), o))
		socket, long := receive(t, e.accepted), sparse(t, 1<<30)
		for range 3 {
			require.NoError(t, socket.WriteFile(long, 0, math.MaxInt64, nil))
		}
		socket.Abort()
		assert.Equal(t, uint64(math.MaxUint64), receive(t, e.closed).Stats.Unsent)
	})
}

func TestFilesThatAreTooShortLoseNothingOfAClose(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		e := newEcho()
		c := dial(t, newWorld().listen(t, of(e), o))
		socket, short := receive(t, e.accepted), sparse(t, 0)
		answers := make(chan error, 3)
		for range 3 {
			require.NoError(t, socket.WriteFile(short, 0, math.MaxInt64, func(err error) { answers <- err }))
		}
		for range 3 {
			require.ErrorIs(t, receive(t, answers), io.ErrUnexpectedEOF)
		}
		assert.Equal(t, uint64(math.MaxUint64), socket.Info().Stats.Unsent)
		echoes(t, c)
		socket.Do(&protocol.Close{}, func(err error) { answers <- err })
		require.NoError(t, ends(c))
		require.NoError(t, c.Close())
		require.NoError(t, receive(t, answers))
	})
}

func TestTheCountOfDroppedBytesDoesNotBeginAnewAboveItsMost(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		o.Connection.SlowConsumer, o.Connection.WriteQueueSize = connection.SlowDropNewest, 1
		e := newEcho()
		dial(t, newWorld().listen(t, of(e), o))
		socket, long := receive(t, e.accepted), sparse(t, 1<<30)
		for range 4 {
			require.NoError(t, socket.WriteFile(long, 0, math.MaxInt64, nil))
		}
		socket.Abort()
		stats := receive(t, e.closed).Stats
		assert.EqualValues(t, 3, stats.DroppedWrites)
		if strconv.IntSize == 64 {
			assert.Equal(t, uint64(math.MaxUint64), stats.Dropped)
		}
	})
}

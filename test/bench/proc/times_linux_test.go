package proc

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTimesOfAProcessAreReadBehindItsName(t *testing.T) {
	got, err := share([]byte("12 (a) S b) R 1 12 12 0 -1 4194304 90 0 0 0 7 5 0 0 20 0 3 0 100"))
	require.NoError(t, err)
	assert.Equal(t, Share{User: 70 * time.Millisecond, System: 50 * time.Millisecond}, got)
	_, err = share([]byte("12 (a) R 1"))
	assert.ErrorContains(t, err, "no times of a process")
	_, err = share([]byte("12 (a) R 1 12 12 0 -1 4194304 90 0 0 0 x 5 0 0"))
	assert.ErrorContains(t, err, `"x" is no number of ticks`)
}

func TestTimeThatIsIdleIsNotBusy(t *testing.T) {
	got, err := busy([]byte("cpu  1 2 4 1000 1000 8 16 32 64 128\ncpu0 1 2 4 1000 1000 8 16 32 64 128\n"))
	require.NoError(t, err)
	assert.Equal(t, (1+2+4+8+16+32)*tick, got)
	_, err = busy([]byte("intr 1"))
	assert.ErrorContains(t, err, "no times of a machine")
}

func TestWorkOfThisProcessIsSeen(t *testing.T) {
	before, err := Shared(os.Getpid())
	require.NoError(t, err)
	busyBefore, err := Busy()
	require.NoError(t, err)
	used, err := CPU(os.Getpid())
	require.NoError(t, err)
	for now := used; now < used+200*time.Millisecond; {
		now, err = CPU(os.Getpid())
		require.NoError(t, err)
	}
	after, err := Shared(os.Getpid())
	require.NoError(t, err)
	busyAfter, err := Busy()
	require.NoError(t, err)
	assert.InDelta(t, 0.2, (after.User + after.System - before.User - before.System).Seconds(), 0.1)
	assert.Greater(t, (busyAfter - busyBefore).Seconds(), 0.1)
}

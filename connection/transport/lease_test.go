package transport

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestALeaseEndsAtOnceIfNoneIsHeld(t *testing.T) {
	var l lease
	require.True(t, l.take())
	require.False(t, l.give(), "it has not ended")
	assert.True(t, l.end())
	assert.False(t, l.take())
	assert.False(t, l.end(), "once is enough")
}

func TestTheLastHolderOfALeaseCloses(t *testing.T) {
	var l lease
	require.True(t, l.take())
	require.True(t, l.take())
	assert.False(t, l.end(), "two hold it")
	assert.False(t, l.take())
	assert.False(t, l.give())
	assert.False(t, l.end())
	assert.True(t, l.give())
	assert.False(t, l.take())
}

// A descriptor's number must never be in use after it was closed, closed twice, or not closed at
// all.
func TestTheLastUserClosesTheDescriptor(t *testing.T) {
	const rounds, users, enders = 2000, 4, 2
	for range rounds {
		var l lease
		var using, closes atomic.Int32
		release := func(last bool) {
			if last {
				assert.Zero(t, using.Load(), "closed while in use")
				closes.Add(1)
			}
		}
		var storm sync.WaitGroup
		for range users {
			storm.Go(func() {
				for l.take() {
					using.Add(1)
					assert.Zero(t, closes.Load(), "used after it was closed")
					using.Add(-1)
					release(l.give())
				}
			})
		}
		for range enders {
			storm.Go(func() { release(l.end()) })
		}
		storm.Wait()
		require.EqualValues(t, 1, closes.Load())
	}
}

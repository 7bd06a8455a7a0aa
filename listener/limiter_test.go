package listener

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// G10: the peak is the cap, no more, and no less once there is demand for it.
func TestThePeakOfPermitsIsTheCapExactly(t *testing.T) {
	const takers, each, most = 16, 3000, 5
	l := newLimiter(most)
	var held, peak atomic.Int64
	var storm sync.WaitGroup
	full := make(chan struct{}) // closed once all permits were out together
	var once sync.Once
	for range takers {
		storm.Go(func() {
			for range each {
				if !l.take(nil) {
					assert.Fail(t, "nobody closed")
					return
				}
				n := held.Add(1)
				for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
				}
				if n == most {
					once.Do(func() { close(full) })
				}
				<-full
				held.Add(-1)
				l.give()
			}
		})
	}
	storm.Wait() // a lost wake-up stays here
	assert.EqualValues(t, most, peak.Load())
	assert.Zero(t, l.taken)
}

func TestTryTakesWhatIsFree(t *testing.T) {
	l := newLimiter(2)
	assert.True(t, l.try())
	assert.True(t, l.try())
	assert.False(t, l.try())
	l.give()
	assert.True(t, l.try())
	assert.False(t, l.try())
}

func TestWhoWaitsForAPermitGetsTheNextOneThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1)
		require.True(t, l.try())
		var got atomic.Int32
		for range 3 {
			go func() {
				if l.take(nil) {
					got.Add(1)
				}
			}()
		}
		for want := range int32(3) {
			synctest.Wait()
			assert.Equal(t, want, got.Load())
			l.give()
		}
		synctest.Wait()
		assert.EqualValues(t, 3, got.Load())
	})
}

func TestStopAndCloseFreeWhoWaitsForAPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1)
		require.True(t, l.try())
		stop := make(chan struct{})
		var freed atomic.Int32
		wait := func(stop chan struct{}) {
			if !l.take(stop) {
				freed.Add(1)
			}
		}
		go wait(stop)
		go wait(nil)
		go wait(nil)
		synctest.Wait()
		assert.Zero(t, freed.Load())
		close(stop)
		synctest.Wait()
		assert.EqualValues(t, 1, freed.Load())
		l.close()
		synctest.Wait()
		assert.EqualValues(t, 3, freed.Load())
		wait(nil)
		assert.EqualValues(t, 4, freed.Load(), "also who comes later")
	})
}

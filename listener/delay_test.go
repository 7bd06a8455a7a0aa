package listener

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestADelayCallsOnceAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d delay
		var calls atomic.Int32
		for range 3 {
			began := time.Now()
			done := make(chan time.Time)
			d.start(time.Second, func() { calls.Add(1); done <- time.Now() })
			d.start(time.Minute, func() { t.Error("one call at a time") })
			assert.True(t, d.running())
			assert.Equal(t, time.Second, (<-done).Sub(began))
			synctest.Wait()
			assert.False(t, d.running())
		}
		time.Sleep(time.Hour)
		assert.EqualValues(t, 3, calls.Load())
	})
}

func TestADelayThatIsStoppedCallsNoMoreAndWaitsForTheCallUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d delay
		d.stop() // nothing to stop
		d.start(time.Second, func() { t.Error("it was stopped") })
		d.stop()
		assert.False(t, d.running())
		time.Sleep(time.Minute)

		var returned atomic.Bool
		d.start(time.Second, func() { time.Sleep(time.Second); returned.Store(true) })
		time.Sleep(1500 * time.Millisecond)
		d.stop()
		assert.True(t, returned.Load())
	})
}

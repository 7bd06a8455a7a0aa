package seam_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/internal/seam"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWithoutASchedulerNothingIsDifferent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := make(chan int, 2)
		seam.Go(func() { ran <- 1 })
		assert.Equal(t, 1, <-ran)
		began := time.Now()
		seam.AfterFunc(time.Second, func() { ran <- 2 })
		assert.Equal(t, 2, <-ran)
		assert.Equal(t, time.Second, time.Since(began))
		assert.Zero(t, seam.Wait())
		seam.Wait().Over()
		seam.Yield()
		seam.Gosched()
		for range 100 {
			n := seam.Float64()
			assert.True(t, n >= 0 && n < 1)
		}
	})
}

func TestAWaitCostsNoMemory(t *testing.T) {
	assert.Zero(t, testing.AllocsPerRun(100, func() { seam.Wait().Over() }))
}

// counting is a scheduler that lets everything go on.
type counting struct {
	seam.Scheduler
	waits uint64
}

func (c *counting) Wait() uint64   { c.waits++; return c.waits }
func (c *counting) Over(uint64)    {}
func (c *counting) Random() uint64 { return 1 << 63 }

// A test outside of bubbles may run beside one that has a scheduler.
func TestASchedulerIsForBubblesOnly(t *testing.T) {
	c := &counting{}
	assert.True(t, seam.Use(c))
	defer seam.Use(nil)
	assert.False(t, seam.Use(&counting{}), "two at a time")
	assert.Nil(t, seam.Current())
	assert.Zero(t, seam.Wait())
	synctest.Test(t, func(t *testing.T) {
		assert.Equal(t, c, seam.Current())
		assert.Equal(t, seam.Ticket(1), seam.Wait())
		assert.InDelta(t, 0.5, seam.Float64(), 0)
	})
}

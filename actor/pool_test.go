package tcpactor

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goroutine names the calling goroutine: "goroutine 7".
func goroutine() string {
	text := make([]byte, 64)
	text = text[:runtime.Stack(text, false)]
	name, _, _ := bytes.Cut(text, []byte(" ["))
	return string(name)
}

func TestAPoolUsesItsGoroutinesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		names := map[string]int{}
		for range 100 {
			p.Schedule(func() { names[goroutine()]++ })
			synctest.Wait()
		}
		assert.Len(t, names, 1)
		assert.NotContains(t, names, goroutine(), "a turn never runs on the goroutine that scheduled it")
		p.Close()
		p.Wait()
	})
}

func TestAPoolHasAGoroutineForEveryTurnThatBlocksAndKeepsFewOfThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		var running atomic.Int32
		release := make(chan struct{})
		for range 3 * maxIdle {
			p.Schedule(func() {
				running.Add(1)
				<-release
			})
		}
		synctest.Wait()
		assert.EqualValues(t, 3*maxIdle, running.Load())
		close(release)
		synctest.Wait()
		assert.Len(t, p.idle, maxIdle)
		p.Close()
		p.Wait()
	})
}

func TestWaitReturnsWhenTheLastTurnHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		release, joined := make(chan struct{}), false
		p.Schedule(func() { <-release })
		p.Schedule(func() {})
		synctest.Wait()
		p.Close()
		go func() {
			p.Wait()
			joined = true
		}()
		synctest.Wait()
		assert.False(t, joined, "a turn is still running")
		close(release)
		synctest.Wait()
		assert.True(t, joined)
		assert.Empty(t, p.idle)
	})
}

func TestAfterCloseATurnStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		p.Schedule(func() {})
		p.Close()
		p.Wait()
		var name string
		p.Schedule(func() { name = goroutine() })
		synctest.Wait()
		assert.NotEmpty(t, name)
		assert.NotEqual(t, goroutine(), name)
		p.Wait()
	})
}

func TestGoexitInATurnCostsAGoroutineAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		for range 3 {
			p.Schedule(runtime.Goexit)
			synctest.Wait()
		}
		ran := false
		p.Schedule(func() { ran = true })
		synctest.Wait()
		assert.True(t, ran)
		p.Close()
		p.Wait() // a goroutine that was not counted down would stay here
	})
}

func TestEveryTurnRunsOnceWhileThePoolCloses(t *testing.T) {
	const rounds, schedulers, each = 50, 4, 50
	for range rounds {
		p := NewPool()
		var ran [schedulers * each]atomic.Int32
		var turns, scheduling sync.WaitGroup
		turns.Add(len(ran))
		for i := range schedulers {
			scheduling.Go(func() {
				for j := range each {
					p.Schedule(func() {
						ran[i*each+j].Add(1)
						turns.Done()
					})
				}
			})
		}
		p.Close()
		scheduling.Wait()
		turns.Wait()
		p.Wait()
		for i := range ran {
			require.EqualValues(t, 1, ran[i].Load())
		}
	}
}

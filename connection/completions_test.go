package connection

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

func (c *completions) runAll() { c.run(func(one completion) { one.done(one.err) }) }

func TestCompletionsRunOnceInOrderWithTheirErrors(t *testing.T) {
	var c completions
	var got []any
	note := func(i int) func(error) { return func(err error) { got = append(got, i, err) } }
	c.add(note(1), nil)
	c.add(note(2), protocol.ErrAborted)
	c.runAll()
	c.runAll()
	assert.Equal(t, []any{1, nil, 2, protocol.ErrAborted}, got)
}

func TestWhatBecomesDueWhileCompletionsRunIsRunAfterThem(t *testing.T) {
	var c completions
	var got []int
	c.add(func(error) {
		c.add(func(error) { got = append(got, 3) }, nil)
		got = append(got, 1)
	}, nil)
	c.add(func(error) { got = append(got, 2) }, nil)
	c.runAll()
	assert.Equal(t, []int{1, 2, 3}, got)
}

func TestCompletionsOfManyAreAllRun(t *testing.T) {
	const adders, each = 4, 5000
	var c completions
	ran := 0
	var adding sync.WaitGroup
	for range adders {
		adding.Go(func() {
			for range each {
				c.add(func(error) { ran++ }, nil)
			}
		})
	}
	added := make(chan struct{})
	go func() {
		adding.Wait()
		close(added)
	}()
	for running := true; running; {
		select {
		case <-added:
			running = false
		default:
		}
		c.runAll()
	}
	require.Equal(t, adders*each, ran)
	assert.LessOrEqual(t, cap(c.list.Load().due), keepSpare, "a burst's memory is given back")
	assert.LessOrEqual(t, cap(c.list.Load().spare), keepSpare)
}

func TestFewCompletionsNeedNoMemoryOfTheirOwn(t *testing.T) {
	var c completions
	done := func(error) {}
	call := func(one completion) { one.done(one.err) }
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for range keepSpare {
			c.add(done, nil)
		}
		c.run(call)
		c.run(call)
	}))
}

// A t.FailNow in a callback must not cost another write its completion.
func TestGoexitInACompletionEndsOnlyIt(t *testing.T) {
	var c completions
	var got []int
	c.add(func(error) { got = append(got, 1); runtime.Goexit() }, nil)
	c.add(func(error) { got = append(got, 2) }, nil)
	c.add(func(error) { got = append(got, 3); runtime.Goexit() }, nil)
	c.add(func(error) { got = append(got, 4) }, nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.runAll()
	}()
	<-ended
	assert.Equal(t, []int{1, 2, 3, 4}, got)
	c.runAll()
	assert.Len(t, got, 4)
}

package connection

import (
	"sync"
	"sync/atomic"
)

// completion is a callback that waits for its turn.
type completion struct {
	done func(error)
	err  error
}

// completions are the callbacks that are due. The writer adds, the connection runs them on its own
// turn: like handler calls they must not overlap, and they never run inside the call that queued
// them. A connection without callbacks allocates no memory for them.
type completions struct {
	list atomic.Pointer[completionList]
}

type completionList struct {
	mu    sync.Mutex
	due   []completion
	spare []completion // the connection's turn only: the slice that took the last ones, used again
}

// keepSpare is the largest slice kept for the next time, in completions.
const keepSpare = 16

func (c *completions) add(done func(error), err error) {
	list := c.get()
	list.mu.Lock()
	list.due = append(list.due, completion{done, err})
	list.mu.Unlock()
}

func (c *completions) get() *completionList {
	if c.list.Load() == nil {
		c.list.CompareAndSwap(nil, new(completionList))
	}
	return c.list.Load()
}

// await returns when no goroutine that may have read the state from before a change holds the list.
func (c *completions) await() {
	if list := c.list.Load(); list != nil {
		list.mu.Lock()
		defer list.mu.Unlock()
	}
}

// run calls the completions that are due, in order, also those that become due meanwhile.
func (c *completions) run(call func(completion)) {
	if list := c.list.Load(); list != nil {
		list.run(call)
	}
}

func (l *completionList) run(call func(completion)) {
	for {
		l.mu.Lock()
		due := l.due
		l.due, l.spare = l.spare[:0], nil
		l.mu.Unlock()
		if len(due) == 0 {
			l.spare = due
			return
		}
		callAll(due, call)
		clear(due)
		if cap(due) <= keepSpare {
			l.spare = due[:0]
		}
	}
}

// callAll calls them in order. If one ends the goroutine (runtime.Goexit), the others still run, as
// deferred calls.
func callAll(due []completion, call func(completion)) {
	called := 0
	defer func() {
		if called < len(due) {
			callAll(due[called:], call)
		}
	}()
	for called < len(due) {
		called++
		call(due[called-1])
	}
}

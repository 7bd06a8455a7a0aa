package connection

import "sync"

// completion is a callback that waits for its turn.
type completion struct {
	done func(error)
	err  error
}

// completions are the callbacks that are due. The writer adds, the connection runs them on its own turn: as
// handler calls they must not overlap, and never run inside the call that queued them.
type completions struct {
	mu    sync.Mutex
	due   []completion
	spare []completion // the connection's turn only: the slice that took the last ones, used again
}

// keepSpare is the largest slice kept for the next time, in completions.
const keepSpare = 16

func (c *completions) add(done func(error), err error) {
	c.mu.Lock()
	c.due = append(c.due, completion{done, err})
	c.mu.Unlock()
}

// run calls what is due, in order, also what becomes due meanwhile.
func (c *completions) run(call func(completion)) {
	for {
		c.mu.Lock()
		due := c.due
		c.due, c.spare = c.spare[:0], nil
		c.mu.Unlock()
		if len(due) == 0 {
			c.spare = due
			return
		}
		callAll(due, call)
		clear(due)
		if cap(due) <= keepSpare {
			c.spare = due[:0]
		}
	}
}

// callAll calls them in order. One that ends the goroutine (runtime.Goexit) does not take the others with it: deferred calls still run.
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

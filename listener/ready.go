package listener

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// Ready tells the process that started this one with Reexec that this one serves from now on: its
// Reexec returns, and it can shut down. Call it after Inherited, once every listener is served. Any
// other process may call it too, and again: then it does nothing.
//
// An error means that the old process ended before Ready could tell it. The end of the old process
// was meant for the whole service, and this process is not yet a part of it: the program should
// end.
func Ready() error { return waiting.tell() }

// waiting is the pipe on which the old process waits.
var waiting readiness

type readiness struct {
	mu   sync.Mutex
	pipe *os.File // nil: no process waits
}

func (r *readiness) set(pipe *os.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pipe = pipe
}

// told reports whether no process waits, or none any more.
func (r *readiness) told() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pipe == nil
}

func (r *readiness) tell() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pipe == nil {
		return nil
	}
	_, err := r.pipe.Write([]byte{1})
	err = errors.Join(err, r.pipe.Close())
	r.pipe = nil
	if err != nil {
		return fmt.Errorf("berth: the process that handed its sockets over is gone: %w", err)
	}
	return nil
}

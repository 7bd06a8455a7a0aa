package listener

import "sync"

// limiter hands out the permits of a listener: one per open connection, taken before the accept.
type limiter struct {
	mu    sync.Mutex
	most  int
	taken int
	shut  bool
	freed chan struct{} // signalled when a permit comes back; room for one signal, which is enough for one acceptor at a time
}

func newLimiter(most int) *limiter {
	return &limiter{most: most, freed: make(chan struct{}, 1)}
}

// try takes a permit if one is free.
func (l *limiter) try() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken >= l.most {
		return false
	}
	l.taken++
	if l.taken < l.most {
		l.signal() // others may be waiting for the same signal
	}
	return true
}

// take waits for a permit; false if stop or close comes first.
func (l *limiter) take(stop <-chan struct{}) bool {
	for !l.try() {
		if l.closed() {
			return false
		}
		select {
		case <-l.freed:
		case <-stop:
			return false
		}
	}
	return true
}

// close frees who waits.
func (l *limiter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shut = true
	l.signal()
}

func (l *limiter) closed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		l.signal() // for the next who waits
	}
	return l.shut
}

// give returns a permit.
func (l *limiter) give() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken--
	l.signal()
}

func (l *limiter) signal() {
	select {
	case l.freed <- struct{}{}:
	default:
	}
}

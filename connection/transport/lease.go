package transport

import "sync/atomic"

// lease keeps a descriptor's number from being reused while a system call uses it. Every caller
// takes a lease, and the descriptor is closed once its end was declared and the last lease was
// given back.
type lease struct{ word atomic.Uint32 }

const leaseEnded = 1 << 31

// take returns false after end.
func (l *lease) take() bool {
	for {
		word := l.word.Load()
		if word&leaseEnded != 0 {
			return false
		}
		if l.word.CompareAndSwap(word, word+1) {
			return true
		}
	}
}

// give returns true if the caller must close the descriptor now.
func (l *lease) give() bool { return l.word.Add(^uint32(0)) == leaseEnded }

// end refuses new leases. It returns true if the caller must close the descriptor now; once is
// enough, later calls do nothing.
func (l *lease) end() bool {
	for {
		word := l.word.Load()
		if word&leaseEnded != 0 {
			return false
		}
		if l.word.CompareAndSwap(word, word|leaseEnded) {
			return word == 0
		}
	}
}

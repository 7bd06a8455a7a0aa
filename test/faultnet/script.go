package faultnet

import (
	"errors"
	"time"
)

// Step changes one call. The zero value changes nothing.
type Step struct {
	// Stall is how long the call waits before it does anything. A deadline, or Close, ends the wait
	// of a Read or a Write as it would end the call itself.
	Stall time.Duration
	// Most is how many bytes a Read or a Write moves at most: a short read, a short write. 0 means
	// as many as it would, None means no byte.
	Most int
	// Err is what the call returns, together with what it moved. A Write that was cut short by Most
	// and has no Err reports success, which a net.Conn must not do.
	Err error
}

const (
	// None is the Most of a call that moves nothing.
	None = -1
	// Forever is the Stall of a Read or a Write that only a deadline, or Close, ends.
	Forever time.Duration = 1<<63 - 1
)

// Script changes a connection's calls.
type Script struct {
	// Reads and Writes are for the first calls, one step each. All later ones are not changed.
	Reads, Writes []Step
	// Close is for the first Close. It frees calls that stall before it stalls itself; what is
	// below is closed after that.
	Close Step
	// ResetAfter resets the connection after a number of bytes, read and written together: a call
	// gets as far as there, and later ones fail with syscall.ECONNRESET, as does the peer. 0 means
	// never.
	ResetAfter int
}

// call calls an optional method of the value that a wrapper contains.
func call[M any](below any, method func(M) error) error {
	m, ok := below.(M)
	if !ok {
		return errors.ErrUnsupported
	}
	return method(m)
}

package berthtest

import (
	"errors"
	"syscall"
)

// isReset reports whether err is that of a connection that the peer has reset. In memory it is
// ECONNRESET; the kernel has a number of its own.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.WSAECONNRESET)
}

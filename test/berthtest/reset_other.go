//go:build !windows

package berthtest

import (
	"errors"
	"syscall"
)

// isReset reports whether err is that of a connection that the peer has reset.
func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }

package transport

import (
	"errors"
	"syscall"
)

// IsReset reports that the peer is gone: it sent RST, or closed while writes for it were on their way (which
// the kernel reports as EPIPE).
func IsReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

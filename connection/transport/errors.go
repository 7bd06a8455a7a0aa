package transport

import (
	"errors"
	"syscall"
)

// IsReset reports that the peer is gone: it sent RST, or closed while writes for it were on their way (which the kernel reports as
// EPIPE, and where only a FIN was to be sent as ENOTCONN).
func IsReset(err error) bool {
	for _, errno := range [...]error{syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ENOTCONN} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

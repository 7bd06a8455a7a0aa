package transport

import (
	"errors"
	"io"
	"syscall"
)

var resets = []error{syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, syscall.ENOTCONN, io.ErrClosedPipe}

// IsReset reports whether the peer is gone: it sent RST, or closed while writes for it were on
// their way (which the kernel reports as EPIPE, and where only a FIN was to be sent as ENOTCONN;
// net.Pipe as io.ErrClosedPipe).
func IsReset(err error) bool {
	if err == nil {
		return false
	}
	for _, one := range resets {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// aboutFile reports whether an error of SendFile is about the file only, not about the connection.
func aboutFile(err error) bool {
	_, ok := errors.AsType[*FileError](err)
	return ok || errors.Is(err, ErrNotSent)
}

//go:build linux || freebsd

package transport

import "golang.org/x/sys/unix"

// lookForEnd returns what is known of the end of a socket's input without reading.
func lookForEnd(fd int) (finished, broken bool) {
	events := pollNow(fd, unix.POLLRDHUP)
	return events&(unix.POLLRDHUP|unix.POLLHUP) != 0, events&unix.POLLERR != 0
}

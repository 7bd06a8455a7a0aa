//go:build darwin || netbsd || openbsd || dragonfly

package transport

import "golang.org/x/sys/unix"

// lookForEnd returns what is known of the end of a socket's input without reading. These systems
// have no question for a FIN.
func lookForEnd(fd int) (finished, broken bool) {
	return false, pollNow(fd, 0)&(unix.POLLERR|unix.POLLHUP) != 0
}

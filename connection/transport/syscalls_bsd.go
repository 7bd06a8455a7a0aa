//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// read reads once.
func read(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, ErrAgain
	}
	if raceEnabled {
		n, err := raceRead(fd, p)
		return n, again(err)
	}
	for {
		n, err := unix.Read(fd, p)
		if !errors.Is(err, unix.EINTR) {
			return n, again(err)
		}
	}
}

// writev writes as much of bufs as the kernel takes at once. ErrAgain comes with what was written
// before.
func writev(fd int, bufs [][]byte) (int, error) {
	raceRelease(bufs...)
	bufs = bufs[:min(len(bufs), maxVector)]
	asked := 0
	for _, p := range bufs {
		asked += len(p)
	}
	if asked == 0 {
		return 0, nil
	}
	for {
		n, err := unix.SendmsgBuffers(fd, bufs, nil, nil, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n < asked {
			return n, ErrAgain
		}
		return max(n, 0), again(err)
	}
}

// maxVector is the most slices of one writev; the rest comes with the next.
const maxVector = 64

// sendsFiles says that sendfile exists. The BSDs' own calls differ from each other in every
// argument.
const sendsFiles = false

func sendfile(int, *os.File, int64, int) (int, error) { return 0, ErrNotSent }

const fionread = 0x4004667f // FIONREAD

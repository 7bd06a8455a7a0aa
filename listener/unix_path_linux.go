package listener

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockPatience is how long to wait for the lock of a directory. A bind holds it for a moment.
	lockPatience = time.Second
	// secondLook is how long a program without the lock may take from its bind to its listen.
	secondLook = 50 * time.Millisecond
)

// lockDirectory keeps other listeners, in this process and in others, from binding or removing
// paths in a directory. locked is false if the lock could not be taken; then unlock does nothing.
// The directory itself is locked, so no lock file is left behind.
func lockDirectory(dir string) (unlock func(), locked bool) {
	file, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return func() {}, false
	}
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(time.Millisecond) {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, true
		}
		again := errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR)
		if !again || time.Now().After(deadline) {
			_ = file.Close()
			return func() {}, false
		}
	}
}

// forsaken reports that no process listens on path, which is a socket's. For a full backlog Linux
// has another error than refused. Between a bind and its listen the error is refused too: the
// second look is for programs that do not use the lock.
func forsaken(path string) bool {
	before := fileAt(path)
	if !refuses(path) {
		return false
	}
	time.Sleep(secondLook)
	return refuses(path) && fileAt(path) == before
}

func refuses(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"errors"
	"io"
	"math"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// polledReads read a file for which the runtime cannot wait, as a terminal, or standard input.
// poll(2) waits for it, on a thread of its own, and a pipe calls it back.
type polledReads struct {
	file      *os.File
	kind      FileKind
	raw       syscall.RawConn
	wake, end *os.File // the pipe: a byte calls back
	within    time.Duration
}

func readsThatBlock(f *os.File, kind FileKind) (FileReads, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &polledReads{file: f, kind: kind, raw: raw}
	if r.wake, r.end, err = os.Pipe(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *polledReads) Arm(within time.Duration) { r.within = within }

func (r *polledReads) Read(p []byte, offset int64) (n int, err error) {
	switch readable, err := r.wait(); {
	case err != nil:
		return 0, err
	case !readable:
		return 0, os.ErrDeadlineExceeded
	case r.kind == StreamFile:
		return r.file.Read(p)
	}
	// One system call: ReadAt of package os would wait until p is full.
	if closed := r.raw.Control(func(fd uintptr) { n, err = unix.Pread(int(fd), p, offset) }); closed != nil {
		return 0, os.ErrClosed
	}
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return max(n, 0), os.NewSyscallError("pread", err)
}

// wait reports whether the file has something, or its end.
func (r *polledReads) wait() (readable bool, err error) {
	fds := []unix.PollFd{{Events: unix.POLLIN}, {Fd: int32(r.wake.Fd()), Events: unix.POLLIN}}
	timeout := -1
	if r.within > 0 {
		timeout = int(min(r.within.Milliseconds(), math.MaxInt32))
	}
	closed := r.raw.Control(func(fd uintptr) {
		fds[0].Fd = int32(fd)
		for {
			if _, err = unix.Poll(fds, timeout); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	switch {
	case closed != nil:
		return false, os.ErrClosed
	case err != nil:
		return false, os.NewSyscallError("poll", err)
	case fds[1].Revents != 0:
		var one [1]byte
		_, _ = r.wake.Read(one[:])
		return false, nil
	}
	return fds[0].Revents != 0, nil
}

func (r *polledReads) Interrupt() bool {
	_, err := r.end.Write([]byte{0})
	return err == nil
}

func (r *polledReads) Close() {
	_ = r.wake.Close()
	_ = r.end.Close()
}

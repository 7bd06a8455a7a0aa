//go:build race && unix

package transport

import (
	"errors"
	"runtime"
	"syscall"
	"unsafe"
)

// The race detector takes it that what a goroutine does before it writes to a descriptor happens
// before what another does after it has read from one. Package syscall tells it so in Read and
// Write, by a variable that it keeps to itself, and package net's own vectored write does not. So
// with the detector the raw system calls read with syscall.Read, and call release before they
// write.

const raceEnabled = true

// raceRelease comes before whatever a peer may notice: a write of bufs, an end. The write that it
// does fails: it is for what syscall.Write tells the detector.
func raceRelease(bufs ...[]byte) {
	for _, p := range bufs {
		if len(p) > 0 {
			runtime.RaceReadRange(unsafe.Pointer(&p[0]), len(p))
		}
	}
	_, _ = syscall.Write(-1, nil)
}

// raceRead reads once.
func raceRead(fd int, p []byte) (int, error) {
	for {
		n, err := syscall.Read(fd, p)
		if !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}

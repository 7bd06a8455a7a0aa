//go:build race && unix

package transport

import (
	"errors"
	"runtime"
	"syscall"
	"unsafe"
)

// For the race detector, everything before a write to a descriptor happens before everything after
// a read from one. Package syscall reports this in Read and Write, by an unexported variable.
// Package net's own vectored write does not report it. So with the detector the raw system calls
// read with syscall.Read, and call release before they write.

const raceEnabled = true

// raceRelease comes before every action that a peer can see: a write of bufs, an end. Its own write
// fails; it is made for the report of syscall.Write to the detector.
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

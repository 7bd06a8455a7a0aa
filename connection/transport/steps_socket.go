//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"errors"
	"math"
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// newSteps returns how to write to the socket of s.
func newSteps(s *Stream) stepper {
	var raw syscall.RawConn
	var err error
	switch c := s.socket.(type) { // and nothing that contains one: its bytes may have a form of their own
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	default:
		return newPieces(s)
	}
	if err != nil {
		return newPieces(s)
	}
	k := &socketSteps{stream: s, raw: raw}
	k.attempt = k.try
	return k
}

// socketSteps writes to one of the system's own sockets, with calls that do not block. Package net
// does the waiting.
type socketSteps struct {
	stream  *Stream
	raw     syscall.RawConn
	attempt func(fd uintptr) bool // try; made once, since it would be allocated
	blocks  atomic.Bool           // a step waits for room

	// The step under way.
	bufs   [][]byte
	file   *os.File // instead of bufs
	offset int64    // of the file
	left   int
	n      int
	err    error
}

// step implements stepper.
func (k *socketSteps) step(bufs [][]byte) (int, error) {
	k.bufs = bufs
	err := k.run()
	k.bufs = nil
	return k.n, err
}

// sendFile implements stepper.
func (k *socketSteps) sendFile(f *os.File, offset, n int64) (int64, error) {
	if !sendsFiles {
		return 0, ErrNotSent
	}
	k.file, k.offset, k.left = f, offset, int(min(n, math.MaxInt32))
	err := k.run()
	k.file = nil
	return int64(k.n), err
}

// run is one step.
func (k *socketSteps) run() error {
	defer k.unblock()
	for {
		k.n, k.err = 0, nil
		err := k.raw.Write(k.attempt)
		switch {
		case err == nil && (k.err == nil || aboutFile(k.err)):
			return k.err
		case err == nil:
			return k.opError(os.NewSyscallError("write", k.err))
		case !isTimeout(err) || !k.stream.goesOn():
			return k.opError(cause(err))
		}
	}
}

// try makes the system call. It returns false if the step must wait for room.
func (k *socketSteps) try(fd uintptr) bool {
	if k.file != nil {
		k.n, k.err = sendfile(int(fd), k.file, k.offset, k.left)
	} else {
		k.n, k.err = writev(int(fd), k.bufs)
	}
	if !errors.Is(k.err, ErrAgain) {
		return true
	}
	k.err = nil
	if k.n > 0 {
		return true
	}
	if !k.blocks.Load() {
		k.blocks.Store(true)
		k.stream.full()
	}
	return false
}

func (k *socketSteps) unblock() {
	if k.blocks.Load() {
		k.blocks.Store(false)
	}
}

// retry implements stepper. The past deadline ends the wait of package net, and goesOn takes it
// back.
func (k *socketSteps) retry(bool) {
	if k.blocks.Load() {
		_ = k.stream.socket.SetWriteDeadline(past)
	}
}

// opError wraps an error as package net does.
func (k *socketSteps) opError(err error) error {
	local := k.stream.LocalAddr()
	return &net.OpError{Op: "write", Net: local.Network(), Source: local, Addr: k.stream.RemoteAddr(), Err: err}
}

// cause returns the error that package net put into an OpError.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

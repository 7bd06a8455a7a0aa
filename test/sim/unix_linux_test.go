package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/history"
	"github.com/go-berth/berth/test/sched"
	"github.com/go-berth/berth/test/simnet"
)

// kernel is a network of the machine's own unix sockets, in a bubble, below the poll transport as
// it is. No call of it waits. What one end does has reached the other when the system call returns:
// so the order of the system calls is the order of the world, and the seed decides it. Only what
// waits for an event, a client or an event loop, is told of it by the scheduler, which asks.
//
// A unix socket has no RST. Its other end sees a reset nevertheless if it is closed with unread
// input.
type kernel struct {
	run    *sched.Run
	server *unix.SockaddrUnix
	dialed int
	open   int
}

// kernelBuffer is the size of each end's send buffer, in bytes as the kernel counts: of small
// writes it holds much less.
const kernelBuffer = 4 << 10

var kernelNetwork = &orderedNetwork{
	plan: func(rng *rand.Rand) plan {
		p := newPlan(rng)
		p.listener.Transport, p.listener.SendBufferSize, p.listener.RecvBufferSize = listener.Poll, kernelBuffer, kernelBuffer
		p.network, p.faults = simnet.Options{BufferSize: kernelBuffer}, false
		return p
	},
	ground: func(run *sched.Run) ground { return &kernel{run: run} },
	world: func(p plan) check.World {
		w := p.world()
		w.Network, w.Lossless, w.NoReset = 0, true, true
		return w
	},
}

// kernels makes the names of all worlds of this process differ.
var kernels atomic.Uint64

func (k *kernel) listen(w *world) (*listener.Listener, error) {
	k.server = &unix.SockaddrUnix{Name: fmt.Sprintf("@berth-sim-%d-%d", os.Getpid(), kernels.Add(1))}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: k.server.Name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	return listener.Serve(w.system.Root, l, w.recorder.Watch(w.factory()), w.plan.listener)
}

func (k *kernel) dial() (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	k.dialed++
	name := fmt.Sprintf("%s-%d", k.server.Name, k.dialed) // by which the history finds the server's end
	for _, step := range []func() error{
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, kernelBuffer) },
		func() error { return unix.Bind(fd, &unix.SockaddrUnix{Name: name}) },
		func() error { return unix.Connect(fd, k.server) },
	} {
		if err := step(); err != nil {
			_ = unix.Close(fd)
			return nil, err
		}
	}
	k.open++
	return &end{kernel: k, fd: fd, name: name}, nil
}

// found is longer than an event loop takes to find that the handlers of all clients block: two
// ticks of its monitor for each. Until then turns wait behind them.
const found = 50 * time.Millisecond

func (k *kernel) rest(w *world) {
	k.run.Rest()
	if w.recorder.Inside() > 0 {
		sched.Sleep(found)
		k.run.Rest()
	}
	w.recorder.Note(history.Rest)
}

func (*kernel) answers(*world)          {}
func (*kernel) sleep(d time.Duration)   { sched.Sleep(d) }
func (*kernel) patience() time.Duration { return 300 * time.Millisecond }

func (k *kernel) left() string {
	if k.open > 0 {
		return fmt.Sprintf("%d sockets", k.open)
	}
	return ""
}

// end is a client's end of a connection. Its goroutines run one at a time.
type end struct {
	net.Conn // the other methods are not used
	kernel   *kernel
	fd       int
	name     string
	closed   bool
}

// LocalAddr implements net.Conn.
func (e *end) LocalAddr() net.Addr { return &net.UnixAddr{Name: e.name, Net: "unix"} }

// Read implements net.Conn.
func (e *end) Read(p []byte) (int, error) {
	for !e.closed {
		n, err := unix.Read(e.fd, p)
		switch {
		case err == nil && n == 0:
			return 0, io.EOF
		case err == nil:
			return n, nil
		case err != unix.EAGAIN:
			return 0, os.NewSyscallError("read", err)
		}
		e.wait(unix.POLLIN)
	}
	return 0, net.ErrClosed
}

// Write implements net.Conn.
func (e *end) Write(p []byte) (written int, err error) {
	for !e.closed && written < len(p) {
		n, err := unix.SendmsgN(e.fd, p[written:], nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == nil:
			written += n
			continue
		case err != unix.EAGAIN:
			return written, os.NewSyscallError("write", err)
		}
		e.wait(unix.POLLOUT)
	}
	if written < len(p) {
		return written, net.ErrClosed
	}
	return written, nil
}

// wait returns once the socket has an event, or is closed.
func (e *end) wait(event int16) {
	e.kernel.run.Until(func() bool {
		if e.closed {
			return true
		}
		asked := []unix.PollFd{{Fd: int32(e.fd), Events: event}}
		n, err := unix.Poll(asked, 0)
		return err == nil && n > 0
	})
}

// CloseWrite sends FIN.
func (e *end) CloseWrite() error {
	if e.closed {
		return net.ErrClosed
	}
	return unix.Shutdown(e.fd, unix.SHUT_WR)
}

// Close implements net.Conn.
func (e *end) Close() error {
	if e.closed {
		return net.ErrClosed
	}
	e.closed = true
	e.kernel.open--
	return unix.Close(e.fd)
}

package listener

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/go-berth/berth/internal/seam"
)

// streamSocket is a listening socket at which the accept loops of one or several acceptors wait. A
// loop is called back from Accept by a deadline in the past. A listener of the user's without
// deadlines cannot do that: its loops come back with the next client.
type streamSocket struct {
	listener   net.Listener
	generation uint64

	mu     sync.Mutex
	halted bool
	holds  int           // callers that want the loops out of Accept for a moment
	inside int           // loops in Accept
	left   chan struct{} // closed when the last of them has left; made by a caller that waits for that
	free   chan struct{} // closed while neither halted nor held, and once the socket is closed
	called uint64        // how often Accept was called back
	closed bool          // by us
}

func newStreamSocket(l net.Listener, generation uint64) *streamSocket {
	k := &streamSocket{listener: l, generation: generation, free: make(chan struct{})}
	close(k.free)
	return k
}

// state returns the channel to wait for before the next Accept, and the count of call-backs that
// tells its error.
func (k *streamSocket) state() (free <-chan struct{}, called uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.free, k.called
}

// ours reports that Accept failed because it was called back, since the count was called, or
// because the socket was closed here. A deadline that passed without that comes from the listener
// itself, and is a failure like any other: an immediate retry could go on for ever.
func (k *streamSocket) ours(err error, called uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed || errors.Is(err, errHeld) || errors.Is(err, os.ErrDeadlineExceeded) && k.called != called
}

// halt keeps loops out of Accept until the next proceed.
func (k *streamSocket) halt(halted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.busyLocked()
	k.halted = halted
	k.changedLocked(before)
}

// accept is Accept for the loops. It fails with errHeld while they are to stay out.
func (k *streamSocket) accept() (net.Conn, error) {
	k.mu.Lock()
	if k.busyLocked() {
		k.mu.Unlock()
		return nil, errHeld
	}
	k.inside++
	k.mu.Unlock()
	defer k.leave()
	return k.listener.Accept()
}

func (k *streamSocket) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inside--; k.inside == 0 && k.left != nil {
		close(k.left)
		k.left = nil
	}
}

// hold keeps loops out of Accept until release. When it returns true, no loop is in Accept, where
// it could take a client that the holder has seen. It returns false, and does nothing, if this
// listener cannot be called back.
func (k *streamSocket) hold() bool {
	k.mu.Lock()
	if !k.setDeadline(past) {
		k.mu.Unlock()
		return false
	}
	before := k.busyLocked()
	k.holds++
	k.changedLocked(before)
	var left chan struct{}
	if k.inside > 0 {
		if k.left == nil {
			k.left = make(chan struct{})
		}
		left = k.left
	}
	k.mu.Unlock()
	if left != nil {
		wait := seam.Wait()
		<-left
		wait.Over()
	}
	return true
}

func (k *streamSocket) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.busyLocked()
	k.holds--
	k.changedLocked(before)
}

func (k *streamSocket) busyLocked() bool { return !k.closed && (k.halted || k.holds > 0) }

func (k *streamSocket) changedLocked(before bool) {
	switch {
	case before == k.busyLocked():
	case before:
		if !k.closed { // else a loop that was called back, and is not inside yet, would take one more client before the close
			k.setDeadline(time.Time{})
		}
		close(k.free)
	default:
		k.free = make(chan struct{})
		k.called++
		k.setDeadline(past)
	}
}

var past = time.Unix(1, 0)

var errHeld = errors.New("berth: the socket is held")

// setDeadline sets the deadline of Accept; zero means none. It returns false if this listener has
// no deadlines.
func (k *streamSocket) setDeadline(deadline time.Time) bool {
	l, ok := k.listener.(interface{ SetDeadline(time.Time) error })
	return ok && l.SetDeadline(deadline) == nil
}

// acceptNow accepts a client that waits already. An error says that there is none, or that this is
// not known. The socket is held.
func (k *streamSocket) acceptNow() (net.Conn, error) {
	switch there, known := clientWaits(k.listener); {
	case !known:
		return k.acceptWithin(backlogWait)
	case there:
		return k.acceptWithin(time.Second) // no wait, unless the client goes away again
	default:
		return nil, os.ErrDeadlineExceeded
	}
}

// acceptWithin tries once at least. Package net does not try if the deadline has passed before,
// which happens on a busy machine.
func (k *streamSocket) acceptWithin(wait time.Duration) (conn net.Conn, err error) {
	for range 10 {
		began := time.Now()
		if !k.setDeadline(began.Add(wait)) {
			return nil, net.ErrClosed
		}
		conn, err = k.listener.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) < 2*wait {
			break
		}
	}
	return conn, err
}

// backlogWait is how long to look for one more client in the backlog, if the look takes time.
const backlogWait = 2 * time.Millisecond

// mostBacklog bounds the search if clients keep coming. It is Linux's own limit,
// net.core.somaxconn.
const mostBacklog = 4096

// close wakes the loops that wait for the socket to be free: there may be another socket.
func (k *streamSocket) close() {
	k.mu.Lock()
	before := k.busyLocked()
	k.closed = true
	k.changedLocked(before)
	k.mu.Unlock()
	_ = guarded(func() { _ = k.listener.Close() })
}

package listener

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// streamSocket is a listening socket at which the accept loops of one or several acceptors wait. A
// loop is called back from Accept by a deadline in the past. A listener of the user's without
// deadlines cannot do that: its loops come back with the next client.
type streamSocket struct {
	listener   net.Listener
	generation uint64

	mu     sync.Mutex
	halted bool
	holds  int           // of those who want the loops out of Accept for a moment
	inside int           // loops in Accept
	left   chan struct{} // closed when the last of them has left; made by those who wait for that
	free   chan struct{} // closed while neither halted nor held, and once the socket is closed
	called uint64        // how often Accept was called back
	closed bool          // by us
}

func newStreamSocket(l net.Listener, generation uint64) *streamSocket {
	k := &streamSocket{listener: l, generation: generation, free: make(chan struct{})}
	close(k.free)
	return k
}

// state returns what to wait for before the next Accept, and what to tell its error by.
func (k *streamSocket) state() (free <-chan struct{}, called uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.free, k.called
}

// ours reports that Accept failed because we called it back, since it was called so many times, or
// closed the socket. A deadline that passed without that is the listener's own affair, and a
// failure like any other: to try again at once would be to try for ever.
func (k *streamSocket) ours(err error, called uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed || errors.Is(err, errHeld) || errors.Is(err, os.ErrDeadlineExceeded) && k.called != called
}

// halt keeps loops out of Accept until the next proceed.
func (k *streamSocket) halt(halted bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.busy()
	k.halted = halted
	k.changed(before)
}

// accept is Accept for the loops. It fails with errHeld where they are to stay out.
func (k *streamSocket) accept() (net.Conn, error) {
	k.mu.Lock()
	if k.busy() {
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

// hold keeps loops out of Accept until release: when it returns there is none inside, to take a
// client whom the holder has seen. False: this listener cannot be called back, and nothing was
// done.
func (k *streamSocket) hold() bool {
	k.mu.Lock()
	if !k.setDeadline(past) {
		k.mu.Unlock()
		return false
	}
	before := k.busy()
	k.holds++
	k.changed(before)
	var left chan struct{}
	if k.inside > 0 {
		if k.left == nil {
			k.left = make(chan struct{})
		}
		left = k.left
	}
	k.mu.Unlock()
	if left != nil {
		<-left
	}
	return true
}

func (k *streamSocket) release() {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.busy()
	k.holds--
	k.changed(before)
}

func (k *streamSocket) busy() bool { return !k.closed && (k.halted || k.holds > 0) }

func (k *streamSocket) changed(before bool) {
	switch {
	case before == k.busy():
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

// setDeadline sets the deadline of Accept; zero: none. False: this listener has no such thing.
func (k *streamSocket) setDeadline(deadline time.Time) bool {
	l, ok := k.listener.(interface{ SetDeadline(time.Time) error })
	return ok && l.SetDeadline(deadline) == nil
}

// acceptNow accepts a client that waits already; an error says that there is none, or that it
// cannot be told. The socket is held.
func (k *streamSocket) acceptNow() (net.Conn, error) {
	switch there, known := clientWaits(k.listener); {
	case !known:
		return k.acceptWithin(backlogWait)
	case there:
		return k.acceptWithin(time.Second) // it takes none of it, unless the client goes away again
	default:
		return nil, os.ErrDeadlineExceeded
	}
}

// acceptWithin tries once at least. Package net does not try where the deadline has passed before,
// as it may on a busy machine.
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

// backlogWait is how long to look for one more client in the backlog, where that takes time.
const backlogWait = 2 * time.Millisecond

// mostBacklog bounds the search where clients keep coming: Linux's own limit, net.core.somaxconn.
const mostBacklog = 4096

// close lets loops go that wait for the socket to be free: there may be another one.
func (k *streamSocket) close() {
	k.mu.Lock()
	before := k.busy()
	k.closed = true
	k.changed(before)
	k.mu.Unlock()
	_ = guarded(func() { _ = k.listener.Close() })
}

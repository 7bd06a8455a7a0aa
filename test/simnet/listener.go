package simnet

import (
	"net"
	"os"
	"slices"
	"time"
)

// Listener is the one server of a network, and its Dial the only way in. It implements
// net.Listener.
//
// Any number of goroutines may call all methods at once. Only Accept and Dial can block, and they
// do so durably in the sense of testing/synctest.
type Listener struct {
	opts Options
	gate gate // guards all below; it may be held while a link's gate is taken, never the other way round

	backlog  []*Conn            // dialed, not accepted
	links    map[*link]struct{} // of which at least one end is not closed
	dialed   int                // numbers the clients' addresses
	cut      bool
	closed   bool
	deadline time.Time
}

var _ net.Listener = (*Listener)(nil)

// Listen makes a network with a server that can be dialed at once.
func Listen(opts Options) *Listener {
	return &Listener{opts: opts.withDefaults(), links: make(map[*link]struct{})}
}

// Accept waits for a connection and returns it; it is a *Conn. It may have input waiting, or have
// ended already.
func (l *Listener) Accept() (net.Conn, error) {
	l.gate.Lock()
	defer l.gate.Unlock()
	for {
		switch {
		case l.closed:
			return nil, l.failed("accept", net.ErrClosed)
		case passed(l.deadline, time.Now()):
			return nil, l.failed("accept", os.ErrDeadlineExceeded)
		case len(l.backlog) > 0:
			c := l.backlog[0]
			l.backlog = slices.Delete(l.backlog, 0, 1)
			l.gate.broadcast() // a dial may be waiting for the room
			return c, nil
		}
		l.gate.wait(l.deadline, nil)
	}
}

// Close refuses further dials, frees calls blocked in Accept or, for want of room, in Dial, and
// resets the connections that were not accepted. Accepted connections go on. A second Close returns
// net.ErrClosed.
func (l *Listener) Close() error {
	l.gate.Lock()
	if l.closed {
		l.gate.Unlock()
		return l.failed("close", net.ErrClosed)
	}
	l.closed = true
	orphans := l.backlog
	l.backlog = nil
	l.gate.broadcast()
	l.gate.Unlock()
	for _, c := range orphans {
		_ = c.Reset() // fails only when closed before, and no other code had it
	}
	return nil
}

// Addr returns the address that accepted connections have as their local one.
func (l *Listener) Addr() net.Addr { return l.addr() }

func (l *Listener) addr() Addr { return addr(l.opts.Name, 1) }

// SetDeadline sets the deadline of Accept, as *net.TCPListener has it; a blocked one is concerned
// as well. Zero is none.
func (l *Listener) SetDeadline(t time.Time) error {
	l.gate.Lock()
	defer l.gate.Unlock()
	if l.closed {
		return l.failed("set", net.ErrClosed)
	}
	l.deadline = t
	l.gate.broadcast()
	return nil
}

// Partition cuts every connection of the listener, and those dialed later: their Dial blocks. It
// and the connections' own Partition and Heal set the same state, and the last call counts.
func (l *Listener) Partition() {
	l.setCut(true, (*link).partition)
}

// Heal ends the partition of every connection of the listener, as their own Heal does.
func (l *Listener) Heal() {
	l.setCut(false, (*link).heal)
}

// setCut keeps the gate while it tells the links, so that none is dialed in between and missed.
func (l *Listener) setCut(cut bool, tell func(*link)) {
	l.gate.Lock()
	defer l.gate.Unlock()
	l.cut = cut
	for link := range l.links {
		tell(link)
	}
	l.gate.broadcast()
}

// Open returns how many connections have an end that was not closed: the client's, the server's, or
// one that waits for Accept. A test that has closed all of its clients asks here whether the server
// has closed the rest.
func (l *Listener) Open() int {
	l.gate.Lock()
	defer l.gate.Unlock()
	return len(l.links)
}

// forget drops a link with both ends closed: no end is left to notice a partition.
func (l *Listener) forget(link *link) {
	l.gate.Lock()
	defer l.gate.Unlock()
	delete(l.links, link)
}

func (l *Listener) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: network, Addr: l.addr(), Err: err}
}

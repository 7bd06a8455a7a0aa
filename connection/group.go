package connection

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-berth/berth/protocol"
)

// Group is a set of connections that are sent the same bytes: a chat room, a feed. The zero value
// is an empty group, and it must not be copied after its first use. Any goroutine may call its
// methods, handlers of members included.
//
// A member leaves by itself as soon as its connection begins to end, not only after the last flush.
// All members get the bytes of a group in the same order, whichever goroutines write them.
type Group struct {
	// Left, if not nil, is called once for each member that begins to end, with the cause. It is
	// not called for a member that Remove took out. It runs on a goroutine of the connection's
	// listener and may block. It is set before the first Add.
	Left func(member protocol.Socket, why *protocol.Closing)

	writing sync.Mutex // one write at a time: the order is the same for every member

	mu       sync.Mutex // nothing is written under it
	index    map[protocol.Socket]int
	members  []member
	snapshot []member // a copy of members for writes; nil: not made yet
	growth   growth
}

// member is a connection in a group.
type member struct {
	socket protocol.Socket
	conn   *Connection // nil: it is a socket of a test
	slow   SlowPolicy
	runs   *runs       // nil for a socket of a test
	cancel func() bool // removes the hook that waits for the connection's end; nil until Add is over
}

// Delivery counts the outcomes of one write to a group. Every member is in exactly one of the
// counts.
type Delivery struct {
	Accepted int // members that have the bytes in their queue
	Dropped  int // members with a full queue and SlowDropNewest
	Closing  int // members that had begun to end
	// Refused are the members with a full queue, of which those with SlowClose are closed; those
	// with a full queue behind a StartTLS, or behind a file that gives nothing, whatever their
	// policy; those for which there was no memory; and those whose WriteBufferSize is less than the
	// payload.
	Refused []protocol.Socket
}

var (
	errNoMember  = errors.New("berth: no socket to add to the group")
	errNoPayload = errors.New("berth: nothing to write to the group: a nil slice")
)

// Add makes a connection a member. Its own SlowConsumer option decides what happens to a write for
// which it has no room. Adding a member again changes nothing. The error is that of a write to a
// connection that has begun to end; then Left is not called.
func (g *Group) Add(socket protocol.Socket) error {
	var slow SlowPolicy
	if c, ok := socket.(*Connection); ok {
		slow = c.shared.options.SlowConsumer
	}
	return g.AddWith(socket, slow)
}

// AddWith is Add with a policy for the writes of this group to this member. The error may also say
// that slow is no policy.
func (g *Group) AddWith(socket protocol.Socket, slow SlowPolicy) error {
	if socket == nil {
		return errNoMember
	}
	if slow > SlowDropNewest {
		return fmt.Errorf("berth: the policy %d is none of SlowRefuse, SlowClose, SlowDropNewest", slow)
	}
	c, _ := socket.(*Connection)
	m := member{socket: socket, conn: c, slow: slow}
	if c != nil {
		m.runs = new(runs)
	}
	entered, members := g.enter(m)
	if !entered || c == nil {
		return nil
	}
	if members > 0 {
		c.shared.publishWarning(&Warning{Kind: WarnGroupGrows, Addr: c.shared.addr, Members: members})
	}
	cancel := c.whenClosing(func() { g.left(c) })
	if g.joined(socket, cancel) {
		return nil
	}
	cancel()
	return c.closedErr()
}

// enter returns false for a socket that is a member already. If the group grows, it returns the
// number of members.
func (g *Group) enter(m member) (entered bool, grown int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, found := g.index[m.socket]; found {
		return false, 0
	}
	if g.index == nil {
		g.index = map[protocol.Socket]int{}
	}
	g.index[m.socket] = len(g.members)
	g.members = append(g.members, m)
	g.snapshot = nil
	if g.growth.entered(len(g.members)) {
		grown = len(g.members)
	}
	return true, grown
}

// joined completes an Add. It returns false if the connection has begun to end meanwhile, or if the
// member was removed.
func (g *Group) joined(socket protocol.Socket, cancel func() bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i, found := g.index[socket]
	if found {
		g.members[i].cancel = cancel
	}
	return found
}

// Remove takes a member out and reports whether it was one.
func (g *Group) Remove(socket protocol.Socket) bool {
	m, found := g.take(socket)
	if found && m.cancel != nil {
		m.cancel()
	}
	return found
}

// Len returns the number of members.
func (g *Group) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.members)
}

// Members returns the members, in no order.
func (g *Group) Members() []protocol.Socket {
	g.mu.Lock()
	defer g.mu.Unlock()
	sockets := make([]protocol.Socket, len(g.members))
	for i, m := range g.members {
		sockets[i] = m.socket
	}
	return sockets
}

// take removes a member.
func (g *Group) take(socket protocol.Socket) (m member, found bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i, found := g.index[socket]
	if !found {
		return member{}, false
	}
	m = g.members[i]
	last := len(g.members) - 1
	g.members[i] = g.members[last]
	g.index[g.members[i].socket] = i
	g.members[last] = member{}
	g.members = g.members[:last]
	delete(g.index, socket)
	g.snapshot = nil
	g.growth.left(last)
	return m, true
}

// left runs on the goroutine that ends the connection. It calls Left on another goroutine.
func (g *Group) left(c *Connection) {
	if m, found := g.take(c); found && m.cancel != nil && g.Left != nil {
		why := c.cause.Load()
		closing := &protocol.Closing{Socket: c, Reason: why.reason, Err: why.err}
		c.CallApart(func() { g.Left(c, closing) })
	}
}

// Write copies p once and queues it to every member. The error matches ErrWriteTooLarge if a
// member's WriteBufferSize is less than p: such a member is refused it, whatever its policy, and
// the others have it.
func (g *Group) Write(p []byte) (Delivery, error) {
	if p == nil {
		return Delivery{}, errNoPayload
	}
	return g.WriteOwned(slices.Clone(p))
}

// WriteOwned queues p to every member without copying it. The caller must not change p any more. It
// waits for no member. The error is that of Write, or says that p is nil.
func (g *Group) WriteOwned(p []byte) (Delivery, error) {
	if p == nil {
		return Delivery{}, errNoPayload
	}
	return g.write(len(p), func(s protocol.Socket) error { return s.WriteOwned(p, nil) },
		func(m *member, crossed bool) { m.runs.post(m.conn, p, crossed) })
}

// WriteBuffers queues several slices as one write to every member, as WriteOwned does.
func (g *Group) WriteBuffers(bufs [][]byte) (Delivery, error) {
	n := 0
	for _, p := range bufs {
		if p == nil {
			return Delivery{}, errNoPayload
		}
		n += len(p)
	}
	if len(bufs) == 0 {
		return Delivery{}, errNoPayload
	}
	return g.write(n, func(s protocol.Socket) error { return s.WriteBuffers(bufs, nil) },
		func(m *member, crossed bool) {
			e := newEntry()
			e.memory = n
			e.buffers(bufs, n)
			m.conn.post(e, crossed)
		})
}

// write gives every member n bytes: post queues them, and crossed says that they reached the high
// water mark; other writes them to a socket that is a test's.
func (g *Group) write(n int, other func(protocol.Socket) error, post func(m *member, crossed bool)) (d Delivery, err error) {
	g.writing.Lock()
	defer g.writing.Unlock()
	current, tooLarge := g.current(), 0
	for i := range current {
		m := &current[i]
		if m.conn == nil {
			d.count(m.socket, other(m.socket))
			continue
		}
		c := m.conn
		crossed, err := c.acquire(m.slow, n, n)
		if err != nil {
			switch drop := c.overflow(m.slow, err); {
			case !drop:
				d.count(c, err)
			case c.drop(n, nil):
				d.Dropped++
			default: // it has ended meanwhile
				d.Closing++
			}
			if errors.Is(err, protocol.ErrWriteTooLarge) {
				tooLarge++
			}
			continue
		}
		post(m, crossed)
		d.Accepted++
	}
	if tooLarge > 0 {
		err = fmt.Errorf("%w: %d bytes, for %d of %d members", protocol.ErrWriteTooLarge, n, tooLarge, len(current))
	}
	return d, err
}

// current returns the members, for reading only.
func (g *Group) current() []member {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.snapshot == nil {
		g.snapshot = slices.Clone(g.members)
	}
	return g.snapshot
}

// count adds the outcome of one member's write that was not dropped.
func (d *Delivery) count(socket protocol.Socket, err error) {
	switch {
	case err == nil:
		d.Accepted++
	case errors.Is(err, protocol.ErrClosed):
		d.Closing++
	default:
		d.Refused = append(d.Refused, socket)
	}
}

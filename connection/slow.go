package connection

import (
	"github.com/go-berth/berth/protocol"
)

// SlowPolicy decides what happens to a write that does not fit because the peer takes bytes more
// slowly than they are written: the queue is full, and the kernel takes no more of it.
type SlowPolicy uint8

const (
	// SlowRefuse refuses the write with ErrWriteQueueFull or ErrWriteBufferFull: the writer
	// decides.
	SlowRefuse SlowPolicy = iota
	// SlowClose refuses it as well, and ends the connection: what was accepted before is flushed,
	// within CloseTimeout.
	SlowClose
	// SlowDropNewest drops the write, whole, and tells the caller that it was accepted. Its
	// completion gets ErrDropped, and Stats counts it.
	SlowDropNewest
)

// slow returns the policy for writes that name none.
func (c *Connection) slow() SlowPolicy { return c.shared.options.SlowConsumer }

// overflow applies a policy to a write that err kept out of the queue. It reports whether the write
// is to be dropped. A write that would not fit into an empty buffer, or for which the listener has
// no memory, or that lies behind a file that gives nothing or behind a StartTLS, is refused under
// every policy, because the peer is not the cause. Any goroutine may call it.
func (c *Connection) overflow(slow SlowPolicy, err error) (drop bool) {
	if !lacksRoom(err) || c.writer.ordered(starved|barred) {
		return false
	}
	switch slow {
	case SlowDropNewest:
		return true
	case SlowClose:
		c.setCause(protocol.ReasonSlowConsumer, err)
		c.refuseWrites()
		c.signal(signalSlow)
	}
	return false
}

// unaccepted ends a write of n bytes through the handle that err kept out of the queue. It returns
// nil if the write was dropped.
func (c *Connection) unaccepted(n int, err error, done func(error)) error {
	switch {
	case !c.overflow(c.slow(), err):
		return c.refusal(n, err)
	case !c.drop(n, done):
		return c.closedErr()
	}
	return nil
}

// drop counts a write of n bytes as dropped and makes its completion due, unless the connection has
// ended meanwhile. A dropped write holds no credit, so the end would not wait for it; but the two
// exclude each other, see ended. Any goroutine may call it.
func (c *Connection) drop(n int, done func(error)) bool {
	list := c.completions.get()
	list.mu.Lock()
	live := c.state() != closed
	if live {
		r := c.makeRare()
		r.droppedWrites.Add(1)
		r.dropped.Add(uint64(n))
		if done != nil {
			list.due = append(list.due, completion{done, protocol.ErrDropped})
		}
	}
	list.mu.Unlock()
	if live && done != nil {
		c.signal(signalCompletions)
	}
	return live
}

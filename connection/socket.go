package connection

import (
	"errors"
	"net"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// This file holds the handle: the methods of protocol.Socket. Any goroutine may call them at any
// time.

// Commands without an answer need no memory of their own.
var (
	pauseCommand      = &protocol.Pause{}
	resumeCommand     = &protocol.Resume{}
	closeCommand      = &protocol.Close{}
	closeWriteCommand = &protocol.CloseWrite{}
)

// PID implements protocol.Socket.
func (c *Connection) PID() *actor.PID { return c.pid }

// LocalAddr implements protocol.Socket.
func (c *Connection) LocalAddr() net.Addr { return c.conn().LocalAddr() }

// RemoteAddr implements protocol.Socket.
func (c *Connection) RemoteAddr() net.Addr { return c.conn().RemoteAddr() }

// Write implements protocol.Socket.
func (c *Connection) Write(p []byte) (int, error) {
	memory := c.shared.copied(len(p))
	crossed, err := c.acquire(c.slow(), len(p), memory)
	if err != nil {
		if err := c.unaccepted(len(p), err, nil); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	e := newEntry()
	e.memory = memory
	e.copyOf(p)
	c.post(e, crossed)
	return len(p), nil
}

// WriteOwned implements protocol.Socket.
func (c *Connection) WriteOwned(p []byte, done func(error)) error {
	return c.queue(len(p), func(e *entry) { e.data = p }, done)
}

// WriteBuffers implements protocol.Socket.
func (c *Connection) WriteBuffers(bufs [][]byte, done func(error)) error {
	n := 0
	for _, p := range bufs {
		n += len(p)
	}
	return c.queue(n, func(e *entry) {
		if len(bufs) > 0 {
			e.buffers(bufs, n)
		}
	}, done)
}

// queue queues a write of n bytes that the caller owns: fill puts them into the entry.
func (c *Connection) queue(n int, fill func(*entry), done func(error)) error {
	crossed, err := c.acquire(c.slow(), n, n)
	if err != nil {
		return c.unaccepted(n, err, done)
	}
	e := newEntry()
	e.memory, e.done = n, done
	fill(e)
	c.post(e, crossed)
	return nil
}

// Forward implements protocol.Socket.
func (c *Connection) Forward(b *protocol.Buffer) (int, error) {
	if b == nil {
		return 0, errNoBuffer
	}
	n := b.Len()
	from, chunk := lender(b)
	shares := from != nil && c.shared.budget != nil && from.shared.budget == c.shared.budget
	if chunk == nil || n < len(chunk.Bytes)/smallPart && !(shares && c.shared.budget.tight(n)) {
		n, err := c.Write(b.Bytes())
		b.Discard(n)
		return n, err
	}
	memory := len(chunk.Bytes)
	if shares {
		memory = 0 // taken already, for reading
	}
	crossed, err := c.acquire(c.slow(), n, memory)
	if err != nil {
		if err := c.unaccepted(n, err, nil); err != nil {
			return 0, err
		}
		return b.Discard(n), nil
	}
	if shares {
		memory = from.handOver(c)
	}
	e := newEntry()
	e.data, _ = (*protocol.Source)(b).Hand()
	e.hold(chunk)
	e.memory = memory
	c.post(e, crossed)
	return n, nil
}

// lender returns the connection whose input b shows, and the memory behind it; nil if b shows other
// bytes. It must be called on that connection's turn: b is valid in the call of its handler only.
func lender(b *protocol.Buffer) (*Connection, *transport.Chunk) {
	if s, ours := (*protocol.Source)(b).Storage().(*shown); ours && s.from != nil {
		return s.from, s.from.input.Chunk()
	}
	return nil, nil
}

var errNoBuffer = errors.New("berth: no buffer to forward")

// smallPart: less than this part of a chunk is copied, not handed over. It is cheaper, and the
// write buffer's limit would not mean much if each queued byte could hold a whole chunk. But a copy
// needs memory, and where the budget has none the chunk is counted already.
const smallPart = 4

// Pause implements protocol.Socket. It goes through the mailbox: mail is read before input is.
func (c *Connection) Pause() { c.mailbox.PostUserMessage(pauseCommand) }

// Resume implements protocol.Socket.
func (c *Connection) Resume() { c.mailbox.PostUserMessage(resumeCommand) }

// Close implements protocol.Socket. Writes are refused from now on, not only once the command is
// read.
func (c *Connection) Close() error {
	c.closeFromNow()
	c.mailbox.PostUserMessage(closeCommand)
	return nil
}

// closeFromNow does the part of a Close that cannot wait for the connection's turn: a handler that
// returns the ErrClosed of a write it tried meanwhile did not end the connection.
func (c *Connection) closeFromNow() {
	c.setCause(protocol.ReasonLocalClosed, nil)
	c.refuseWrites()
}

// CloseWrite implements protocol.Socket.
func (c *Connection) CloseWrite() {
	c.refuseWrites()
	c.mailbox.PostUserMessage(closeWriteCommand)
}

// Abort implements protocol.Socket. It does not wait for the connection's turn: a handler that
// blocks must not keep the socket.
func (c *Connection) Abort() { c.kill(protocol.ReasonLocalAborted, protocol.ErrAborted) }

// Do implements protocol.Socket.
func (c *Connection) Do(command protocol.Command, done func(error)) {
	if !isCommand(command) {
		command = nil
	}
	switch m := command.(type) {
	case *protocol.StartTLS:
		config, err := c.raiseBarrier(m.Config)
		c.mailbox.PostUserMessage(&tlsOrder{config: config, err: err, reply: reply{done: done}})
		return
	case *protocol.Close:
		c.closeFromNow()
	case *protocol.CloseWrite:
		c.refuseWrites()
	case *protocol.Abort:
		defer c.Abort() // after the order is in the mailbox: done must not miss the end
	}
	if done == nil {
		done = func(error) {}
	}
	c.mailbox.PostUserMessage(&order{command, done})
}

// Link implements protocol.Socket.
func (c *Connection) Link(pid *actor.PID) {
	c.mailbox.PostUserMessage(&order{command: &protocol.Link{PID: pid}})
}

// Unlink implements protocol.Socket.
func (c *Connection) Unlink(pid *actor.PID) {
	c.mailbox.PostUserMessage(&order{command: &protocol.Unlink{PID: pid}})
}

// Info implements protocol.Socket.
func (c *Connection) Info() protocol.Info {
	writes, bytes := c.credit.pending()
	why := c.cause.Load()
	if why == nil {
		why = &plain[protocol.ReasonNone]
	}
	info := protocol.Info{
		PID:          c.pid,
		LocalAddr:    text(c.conn().LocalAddr()),
		RemoteAddr:   text(c.conn().RemoteAddr()),
		State:        c.state(),
		Reason:       why.reason,
		Err:          why.err,
		Paused:       c.paused.Load(),
		Restarts:     c.Restarts(),
		HandlerFor:   c.blockedFor(),
		QueuedWrites: writes,
		QueuedBytes:  bytes,
		Stats:        c.stats(),
	}
	if r := c.rare.Load(); r != nil {
		info.Throttled = r.share != nil && r.share.waiting.Load()
		info.Handler = r.handled.Load().times()
	}
	return info
}

// String names the connection, for logs. Without it a fmt.Print would read all of the connection's
// state, also what belongs to its turns. Any goroutine may call it.
func (c *Connection) String() string {
	return "connection " + c.pid.GetId() + " with " + text(c.RemoteAddr())
}

// GoString is String, for %#v.
func (c *Connection) GoString() string { return c.String() }

func text(addr net.Addr) string {
	if addr == nil {
		return ""
	}
	return addr.String()
}

func (c *Connection) stats() protocol.Stats {
	stats := protocol.Stats{
		Read:     c.read.Load(),
		Written:  c.written.Load(),
		Unsent:   c.unsent(),
		Duration: c.shared.now() - c.born,
	}
	if r := c.rare.Load(); r != nil {
		stats.Dropped, stats.DroppedWrites, stats.Unread = r.dropped.Load(), r.droppedWrites.Load(), r.unread.Load()
	}
	return stats
}

package connection

import (
	"net"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"
)

// This file announces the beginning of an end at once to the hooks, to the event stream and to the
// handler, each exactly once.

// Closing is published on the actor system's EventStream when something has begun to end a
// connection that its handler was given by Accepted. It is published exactly once, before the
// handler's Closed is called, and also while the handler blocks. It tells programs that are no
// handlers what protocol.Closing tells handlers.
type Closing struct {
	Addr       net.Addr // the listener's
	PID        *actor.PID
	RemoteAddr net.Addr
	Reason     protocol.Reason
	Err        error // nil for an end without an error
}

// closingHooks are the functions that wait for the end to begin. Any goroutine may call the
// methods.
type closingHooks struct {
	mu    sync.Mutex
	hooks map[*func()]struct{}
}

// add returns false if the end has begun already: then hook is not added.
func (h *closingHooks) add(hook *func(), begun func() bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if begun() {
		return false
	}
	if h.hooks == nil {
		h.hooks = map[*func()]struct{}{}
	}
	h.hooks[hook] = struct{}{}
	return true
}

// remove reports whether hook was there: it has not been called then and will not be.
func (h *closingHooks) remove(hook *func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, found := h.hooks[hook]
	delete(h.hooks, hook)
	return found
}

// run calls all hooks, without the lock. Hooks that are added later find that the end has begun.
func (h *closingHooks) run() {
	h.mu.Lock()
	hooks := h.hooks
	h.hooks = nil
	h.mu.Unlock()
	for hook := range hooks {
		(*hook)()
	}
}

// whenClosing calls hook once the connection begins to end: exactly once, at once if it has begun
// already, on the goroutine that set the cause, whatever locks that goroutine holds. So hook must
// neither block nor take a lock under which connections are written to. Any goroutine may call
// whenClosing, and cancel, which takes the hook back and reports whether it will never be called.
func (c *Connection) whenClosing(hook func()) (cancel func() bool) {
	hooks := &c.makeRare().closing
	if !hooks.add(&hook, func() bool { return c.cause.Load() != nil }) {
		hook()
	}
	return func() bool { return hooks.remove(&hook) }
}

// end sets what ends the connection. If something has ended it already, end returns false. It is
// called on the connection's turn, or by setCause.
func (c *Connection) end(reason protocol.Reason, err error) bool {
	if c.cause.Load() != nil || !c.cause.CompareAndSwap(nil, causeOf(reason, err)) {
		return false
	}
	c.refuseWrites() // after the cause: a write that is refused finds it
	if r := c.rare.Load(); r != nil {
		r.closing.run()
	}
	c.signal(signalClosing)
	return true
}

// setCause is end for any goroutine. The connection's turn may be held up by a handler that blocks,
// so another goroutine publishes Closing.
func (c *Connection) setCause(reason protocol.Reason, err error) {
	if c.end(reason, err) && c.phase.Load()&met != 0 {
		c.shared.later(c.publishClosingApart)
	}
}

// tellClosing publishes that the end has begun and tells the handler, if there is a handler and if
// it has not been told. It is called on the connection's turn.
func (c *Connection) tellClosing(ctx actor.Context) {
	if c.flags.closingTold || c.phase.Load()&met == 0 {
		return
	}
	c.flags.closingTold = true
	c.publishClosing()
	why := c.cause.Load()
	c.deliver(ctx, &protocol.Closing{Socket: c, Reason: why.reason, Err: why.err})
}

// publishClosingApart is publishClosing for a goroutine that is not the connection's turn. There is
// one at most, because an end has one cause.
func (c *Connection) publishClosingApart() {
	published := make(chan struct{})
	defer close(published)
	c.makeRare().published = published // before the bit, behind which the turn reads it
	if c.phase.Or(announced)&announced == 0 {
		c.announce()
	}
}

// publishClosing publishes that the end has begun, on the connection's turn. If another goroutine
// has begun to publish, it waits for that, because Closed comes after Closing.
func (c *Connection) publishClosing() {
	if c.phase.Or(announced)&announced == 0 {
		c.announce()
	} else {
		wait := seam.Wait()
		<-c.rare.Load().published
		wait.Over()
	}
}

func (c *Connection) announce() {
	if !c.shared.heard((*Closing)(nil)) {
		return
	}
	why := c.cause.Load()
	c.shared.publish(&Closing{Addr: c.shared.addr, PID: c.pid, RemoteAddr: c.RemoteAddr(), Reason: why.reason, Err: why.err})
}

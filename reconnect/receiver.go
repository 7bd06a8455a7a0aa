package reconnect

import (
	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// handler returns the factory of one connection: the user's, with the client between. The client
// stays where a Become puts another handler in the place of the first one.
func (c *Client) handler(l *link) tcpactor.Factory {
	return tcpactor.WrapAll(opened{c.factory, func() {
		c.closed(l, protocol.ReasonHandlerPanic, protocol.ErrGoexit, 0)
	}}, func(next tcpactor.Receiver) tcpactor.Receiver {
		return tcpactor.ReceiverFunc(func(ctx actor.Context, message any) error {
			switch m := message.(type) {
			case *protocol.Accepted:
				c.accepted(l, m.Socket)
				err := next.Receive(ctx, message)
				if err == nil {
					c.begin(l)
				}
				return err
			case *protocol.Writable:
				if m.Ready {
					defer c.pump(l)
				}
			case *protocol.Closed:
				reason, why, sent := m.Reason, m.Err, maySent(m)
				defer func() { c.closed(l, reason, why, sent) }() // also where the handler panics
			}
			return next.Receive(ctx, message)
		})
	})
}

// maySent returns how many bytes the peer may have got.
func maySent(m *protocol.Closed) uint64 {
	sent := m.Stats.Written
	if s, is := m.Socket.(interface{ MaybeSent() uint64 }); is {
		sent += s.MaybeSent()
	}
	return sent
}

// accepted notes the socket of a connection that has opened.
func (c *Client) accepted(l *link, socket protocol.Socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.socket == nil {
		l.socket = socket
	}
}

// begin lets the client's writes go to the connection: the handler has written what comes first.
func (c *Client) begin(l *link) {
	c.mu.Lock()
	l.ready = true
	c.mu.Unlock()
	c.pump(l)
}

// closed notes the end of a connection, after its last completion.
func (c *Client) closed(l *link, reason protocol.Reason, err error, sent uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.closed, l.reason, l.err, l.sent = true, reason, err, sent
	c.settle(l)
}

// opened is a factory whose Open never panics: else there would be no receiver to tell of the end.
// What Open panicked with, its receiver does.
type opened struct {
	factory tcpactor.Factory
	goexit  func() // is told that Open has ended the goroutine: there is no receiver then
}

// Open implements tcpactor.Factory.
func (o opened) Open() tcpactor.Receiver {
	r := &openedReceiver{}
	func() {
		defer func() {
			if r.opened {
				return
			}
			if r.failure = recover(); r.failure == nil {
				o.goexit()
			}
		}()
		r.next = o.factory.Open()
		r.opened = true
	}()
	return r
}

// Keep implements tcpactor.Keeper. The Open of what follows may panic: the receiver before it is
// told of the end then.
func (o opened) Keep(next tcpactor.Factory) tcpactor.Factory { return tcpactor.Keep(o.factory, next) }

type openedReceiver struct {
	next    tcpactor.Receiver
	opened  bool
	failure any // what Open panicked with
}

// Receive implements tcpactor.Receiver.
func (r *openedReceiver) Receive(ctx actor.Context, message any) error {
	if r.opened {
		return r.next.Receive(ctx, message)
	}
	if _, first := message.(*protocol.Accepted); first {
		panic(r.failure)
	}
	return nil
}

// Ungated implements tcpactor.Ungated.
func (r *openedReceiver) Ungated() bool {
	u, ok := r.next.(tcpactor.Ungated)
	return ok && u.Ungated()
}

// Drains implements tcpactor.Drainer.
func (r *openedReceiver) Drains() bool {
	d, ok := r.next.(tcpactor.Drainer)
	return ok && d.Drains()
}

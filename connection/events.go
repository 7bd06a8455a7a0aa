package connection

import (
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// The events that connections publish on the actor system's EventStream, as pointers. Closing and
// Warning are two more. Addr is the address of the connection's listener, so that a subscriber can
// tell the listeners of one actor system apart; that of a dialer is "dialer".
//
// No event is made while the stream has no subscriber. A subscriber runs on a goroutine of its own,
// for which the connection waits: it must not block.
type (
	// HandshakeStarted: a client was accepted, or a server dialled, and its PROXY header or its TLS
	// handshake has begun; or the handshake of a StartTLS has. Opened, or TLSStarted, or
	// HandshakeFailed follows, unless other code ends the connection before, as a shutdown does.
	HandshakeStarted struct {
		Addr       net.Addr
		PID        *actor.PID
		RemoteAddr net.Addr // the socket's own: the header may name another one
		StartTLS   bool     // the connection is open already
	}
	// TLSStarted: the handshake of a StartTLS is done. The handler is told next.
	TLSStarted struct {
		Addr       net.Addr
		PID        *actor.PID
		RemoteAddr net.Addr
		Dialled    bool          // this side has opened the connection, and is TLS's client
		Handshake  time.Duration // what the handshake took
	}
	// HandshakeFailed: a connection ended before it was open, because of its PROXY header or its
	// TLS handshake. No handler has seen it. Or the StartTLS of an open connection has failed, with
	// its handshake or before it; Closing and Closed follow.
	HandshakeFailed struct {
		Addr       net.Addr
		PID        *actor.PID
		RemoteAddr net.Addr // the client's if the header told it, else the socket's own
		Err        error
		After      time.Duration // since the accept, with StartTLS since the handshake's beginning
		StartTLS   bool          // the connection was open
	}
	// Opened: a connection is open, after its handshake if it has one. It is published before the
	// handler is made.
	Opened struct {
		Addr                  net.Addr
		PID                   *actor.PID
		LocalAddr, RemoteAddr net.Addr
		TLS                   bool
		Dialled               bool          // this side has opened it
		Handshake             time.Duration // what the PROXY header and the TLS handshake took; 0: there was none
	}
	// Closed: a connection that was Opened has ended, its socket is closed, and the handler's
	// Closed has returned. It is published exactly once.
	Closed struct {
		Addr       net.Addr
		PID        *actor.PID
		RemoteAddr net.Addr
		Reason     protocol.Reason
		Err        error // the first cause; nil for an orderly end
		Stats      protocol.Stats
	}
	// HandlerFailed: a handler panicked or returned an error. A handler that returns the error of a
	// write that was refused because the connection had begun to end has not failed.
	HandlerFailed struct {
		Addr       net.Addr
		PID        *actor.PID
		RemoteAddr net.Addr
		Reason     protocol.Reason // ReasonHandlerPanic or ReasonHandlerError
		Err        error           // a *protocol.PanicError for a panic
		// Restarted says that a new handler takes its place on the same socket (see
		// RestartHandler), unless the connection ends before. Otherwise the connection ends, or was
		// ending already.
		Restarted bool
	}
)

// heard reports whether an event, given by a value of its type, would reach a subscriber. Any
// goroutine may call it.
func (s *Spawner) heard(event any) bool { return tcpactor.Heard(s.system, event) }

func (c *Connection) publishHandshakeStarted() {
	if c.shared.heard((*HandshakeStarted)(nil)) {
		c.shared.publish(&HandshakeStarted{
			Addr: c.shared.addr, PID: c.pid, RemoteAddr: c.RemoteAddr(), StartTLS: c.state() != opening,
		})
	}
}

func (c *Connection) publishHandshakeFailed(err error) {
	if c.shared.heard((*HandshakeFailed)(nil)) {
		c.shared.publish(&HandshakeFailed{
			Addr: c.shared.addr, PID: c.pid, RemoteAddr: c.RemoteAddr(), Err: err, After: c.shared.now() - c.born,
		})
	}
}

// publishTLSStarted tells that the handshake of a StartTLS is done.
func (c *Connection) publishTLSStarted(took time.Duration) {
	if c.shared.heard((*TLSStarted)(nil)) {
		c.shared.publish(&TLSStarted{
			Addr: c.shared.addr, PID: c.pid, RemoteAddr: c.RemoteAddr(), Dialled: c.dialled(), Handshake: took,
		})
	}
}

// publishTLSFailed tells that a StartTLS has failed.
func (c *Connection) publishTLSFailed(err error) {
	if !c.shared.heard((*HandshakeFailed)(nil)) {
		return
	}
	failed := &HandshakeFailed{Addr: c.shared.addr, PID: c.pid, RemoteAddr: c.RemoteAddr(), Err: err, StartTLS: true}
	if began := c.rare.Load().tlsBegan; began > 0 {
		failed.After = c.shared.now() - began
	}
	c.shared.publish(failed)
}

// publishOpened tells that the connection is open; shook says that a handshake has gone before.
func (c *Connection) publishOpened(shook bool) {
	c.flags.stage = opened
	if !c.shared.heard((*Opened)(nil)) {
		return
	}
	opened := &Opened{
		Addr: c.shared.addr, PID: c.pid, LocalAddr: c.LocalAddr(), RemoteAddr: c.RemoteAddr(),
		TLS: c.conn().TLS() != nil, Dialled: c.dialled(),
	}
	if shook {
		opened.Handshake = c.shared.now() - c.born
	}
	c.shared.publish(opened)
}

// publishClosed tells that the connection has ended, if it has been open.
func (c *Connection) publishClosed(closed protocol.Closed) {
	if c.flags.stage == opened && c.shared.heard((*Closed)(nil)) {
		c.shared.publish(&Closed{
			Addr: c.shared.addr, PID: c.pid, RemoteAddr: c.RemoteAddr(),
			Reason: closed.Reason, Err: closed.Err, Stats: closed.Stats,
		})
	}
}

func (c *Connection) publishHandlerFailed(reason protocol.Reason, err error, restarted bool) {
	if c.shared.heard((*HandlerFailed)(nil)) {
		c.shared.publish(&HandlerFailed{
			Addr: c.shared.addr, PID: c.pid, RemoteAddr: c.RemoteAddr(), Reason: reason, Err: err, Restarted: restarted,
		})
	}
}

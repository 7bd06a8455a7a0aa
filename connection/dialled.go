package connection

import (
	"context"
	"sync/atomic"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// outgoing is the Permit of all dialled connections: no limit counts them.
var outgoing = &Permit{Leave: func() {}}

// Options returns those in force for the next connection, with defaults.
func (s *Spawner) Options() Options { return s.current.Load().options }

// SpawnDialled makes the connection of a socket that this side has opened. The socket belongs to it
// from now on. The connection has a handler of its own and options of its own, with defaults and
// valid; Options.Dispatcher is that of the other connections. It runs on the given one of the
// dispatchers. host is that of the dialled address, "" where there is none.
func (s *Spawner) SpawnDialled(socket transport.Conn, lane int, host string, factory tcpactor.Factory, options Options) *Connection {
	current := s.current.Load()
	s.noteLimits(&options)
	c := s.newConnection(&settings{
		Spawner: s, factory: factory, options: options, limits: options.limits(), lanes: current.lanes,
		mostNeeded: s.mostNeeded(&options),
	}, socket, outgoing)
	c.makeRare().dialled = &dialled{accepted: make(chan struct{}), host: host}
	if s.sooner != nil {
		s.sooner()
	}
	return s.spawn(c, lane)
}

// dialled reports whether this side has opened the connection.
func (c *Connection) dialled() bool {
	r := c.rare.Load()
	return r != nil && r.dialled != nil
}

// dialled is what the dial of a connection waits for.
type dialled struct {
	settled  atomic.Bool   // it opens, or is given up: the first of the two
	accepted chan struct{} // closed once Accepted has returned
	host     string        // of the address, "": none
	err      error         // with which Accepted has refused the connection; set before accepted is closed
}

// open reports whether the connection may open: its dial has not given it up.
func (d *dialled) open() bool { return d.settled.CompareAndSwap(false, true) }

// giveUp reports whether the connection will never open.
func (d *dialled) giveUp() bool { return d.settled.CompareAndSwap(false, true) }

// handlerErr returns the error of a handler that has ended the connection, nil if it has not.
func (c *Connection) handlerErr() error {
	if c.endedBy(protocol.ReasonHandlerError) || c.endedBy(protocol.ReasonHandlerPanic) {
		return c.causeErr()
	}
	return nil
}

// AwaitOpen waits until a dialled connection is open, over TLS until the handshake is done, and
// until Accepted has returned. The error is what ended the connection before, ctx's, or that of
// Accepted. With the first two the connection is aborted, and no handler sees it. If ctx is over
// while Accepted runs, the connection is open all the same.
func (c *Connection) AwaitOpen(ctx context.Context) error {
	ended := make(chan struct{})
	cancel := c.whenClosing(func() { close(ended) })
	defer cancel()
	d := c.makeRare().dialled
	select {
	case <-d.accepted:
		return d.err // whatever has come since: a handler sees it
	case <-ended:
	case <-ctx.Done():
	}
	if !d.giveUp() {
		return c.underAccepted(d)
	}
	select {
	case <-ended:
		return c.causeErr()
	default:
		c.Abort()
		return ctx.Err()
	}
}

// underAccepted returns the result of a dial that ends while Accepted runs.
func (c *Connection) underAccepted(d *dialled) error {
	select {
	case <-d.accepted:
		return d.err
	default:
		return c.handlerErr() // no other call of the handler has been made
	}
}

package connection

import (
	"context"
	"sync/atomic"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
)

// outgoing is the Permit of all dialled connections: no limit counts them.
var outgoing = &Permit{Leave: func() {}}

// Options returns those in force for the next connection, with defaults.
func (s *Spawner) Options() Options { return s.current.Load().options }

// SpawnDialled makes the connection of a socket that this side has opened. The socket belongs to it
// from now on. The connection has a handler of its own and options of its own, with defaults and
// valid; Options.Dispatcher is that of the other connections. It runs on the given one of the
// dispatchers.
func (s *Spawner) SpawnDialled(socket transport.Conn, lane int, factory tcpactor.Factory, options Options) *Connection {
	current := s.current.Load()
	s.noteLimits(&options)
	c := s.newConnection(&settings{
		Spawner: s, factory: factory, options: options, limits: options.limits(), lanes: current.lanes,
		mostNeeded: s.mostNeeded(&options),
	}, socket, outgoing)
	c.makeRare().dialled = &dialled{opened: make(chan struct{})}
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

// dialled is the moment at which a dialled connection is open, or is given up: the first of the
// two.
type dialled struct {
	settled atomic.Bool
	opened  chan struct{} // closed once it is open
}

// open reports whether the connection may open: its dial has not given it up.
func (d *dialled) open() bool {
	if !d.settled.CompareAndSwap(false, true) {
		return false
	}
	close(d.opened)
	return true
}

// giveUp reports whether the connection will never open.
func (d *dialled) giveUp() bool { return d.settled.CompareAndSwap(false, true) }

// AwaitOpen waits until a dialled connection is open: over TLS, until the handshake is done. The
// error is what ended the connection before, or ctx's; then the connection is aborted, and no
// handler sees it.
func (c *Connection) AwaitOpen(ctx context.Context) error {
	ended := make(chan struct{})
	cancel := c.whenClosing(func() { close(ended) })
	defer cancel()
	d := c.makeRare().dialled
	select {
	case <-d.opened:
	case <-ended:
	case <-ctx.Done():
	}
	if !d.giveUp() {
		return nil // whatever has come since: a handler sees it
	}
	select {
	case <-ended:
		return c.causeErr()
	default:
		c.Abort()
		return ctx.Err()
	}
}

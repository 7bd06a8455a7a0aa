package connection

import (
	"context"

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
	c.makeRare().opened = make(chan struct{})
	if s.sooner != nil {
		s.sooner()
	}
	return s.spawn(c, lane)
}

// dialled reports whether this side has opened the connection.
func (c *Connection) dialled() bool {
	r := c.rare.Load()
	return r != nil && r.opened != nil
}

// AwaitOpen waits until a dialled connection is open: over TLS, until the handshake is done. The
// error is what ended the connection before, or ctx's; then the connection is aborted.
func (c *Connection) AwaitOpen(ctx context.Context) error {
	ended := make(chan struct{})
	cancel := c.whenClosing(func() { close(ended) })
	defer cancel()
	opened := c.makeRare().opened
	select {
	case <-opened:
	case <-ended:
	case <-ctx.Done():
	}
	select {
	case <-opened: // whatever has come since: a handler has seen it
		return nil
	default:
	}
	select {
	case <-ended:
		return c.causeErr()
	default:
		c.Abort()
		return ctx.Err()
	}
}

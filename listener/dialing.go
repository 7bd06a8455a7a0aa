package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/missing"
	"github.com/go-berth/berth/protocol"
)

// DialOptions are those of one outgoing connection.
type DialOptions struct {
	// Network is tcp, tcp4, tcp6 or unix. Default tcp.
	Network string
	// Dialer opens the socket: local address, resolver, both address families at once (Happy
	// Eyeballs, RFC 6555), Control, keep-alive probes. Its Timeout and the context both count.
	// Default of Timeout: 30 s, unless the context has a deadline. Negative: none.
	Dialer net.Dialer
	// TLSConfig, if not nil, puts TLS over the connection, at the client's side. Without a
	// ServerName the host of the address is taken. HandshakeTimeout bounds the handshake, as the
	// context does. A configuration with Renegotiation has a reader goroutine, on every transport.
	TLSConfig *tls.Config
	// Connection, if not nil, are the options of this connection, instead of those of the listener
	// or dialer. Its Dispatcher must be nil.
	Connection *connection.Options
}

// Validate returns the error that Dial and Adopt return for a factory, or options, that cannot be:
// one sentence.
func (o DialOptions) Validate(factory tcpactor.Factory) error {
	if err := checkFactory(factory); err != nil {
		return err
	}
	switch o.Network {
	case "", "tcp", "tcp4", "tcp6", "unix":
	default:
		return fmt.Errorf("berth: Network %q is none of tcp, tcp4, tcp6, unix", o.Network)
	}
	if o.Connection == nil {
		return nil
	}
	if o.Connection.Dispatcher != nil {
		return errors.New("berth: Dispatcher is an option of the listener or dialer, not of one dialled connection")
	}
	return o.Connection.Validate()
}

var errNoContext = errors.New("berth: no context to dial with: it is nil")

// Dial opens a connection from this process to addr ("host:port", with Network "unix" a path). It
// runs on the listener's event loops, below its supervisor, and is drained with it; MaxConnections
// and other limits of clients do not count it. Its handler is made by factory.
//
// Dial blocks the calling goroutine until the connection is open, over TLS until the handshake is
// done, and Accepted has returned. If ctx is over while Accepted runs, Dial returns the socket. A
// handler may call it. The error is package net's for a socket that could not be opened, what ended
// the connection before it was open, ctx's, that of Accepted, or ErrClosed once the end of the
// listener has begun; then nothing is left of the connection.
func (l *Listener) Dial(ctx context.Context, addr string, factory tcpactor.Factory, options DialOptions) (protocol.Socket, error) {
	if ctx == nil {
		return nil, errNoContext
	}
	if err := options.Validate(factory); err != nil {
		return nil, err
	}
	switch options.Network {
	case "":
		options.Network = "tcp"
	case "unix":
		if err := checkPath(addr); err != nil {
			return nil, err
		}
	}
	dialer := options.Dialer
	if _, limited := ctx.Deadline(); dialer.Timeout == 0 && dialer.Deadline.IsZero() && !limited {
		dialer.Timeout = defaultDialTimeout
	}
	dialer.Timeout = max(dialer.Timeout, 0)
	ctx, cancel := l.server.untilClosing(ctx)
	defer cancel()
	if l.server.shutDown() {
		return nil, ErrClosed
	}
	conn, err := dialer.DialContext(ctx, options.Network, addr)
	if err != nil {
		if l.server.shutDown() {
			return nil, ErrClosed
		}
		return nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err == nil && options.TLSConfig != nil && options.TLSConfig.ServerName == "" { // as tls.Dial does
		options.TLSConfig = options.TLSConfig.Clone()
		options.TLSConfig.ServerName = host
	}
	return l.server.adopt(ctx, conn, host, factory, &options)
}

// Adopt makes a connection of conn, which some other code has opened: dialled through a proxy, one
// end of a pipe, a *tls.Conn. It belongs to the connection from now on, also where there is an
// error. Its deadlines are taken away. A socket of package net's is polled where the listener
// polls; any other has a reader goroutine. Network and Dialer have no meaning here. All else is as
// with Dial.
func (l *Listener) Adopt(ctx context.Context, conn net.Conn, factory tcpactor.Factory, options DialOptions) (protocol.Socket, error) {
	if missing.Is(conn) {
		return nil, errors.New("berth: no net.Conn to adopt")
	}
	err := options.Validate(factory)
	if ctx == nil {
		err = errNoContext
	}
	if closed := checkOpen(conn); closed != nil && err == nil {
		err = fmt.Errorf("berth: the net.Conn to adopt: %w", closed)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	ctx, cancel := l.server.untilClosing(ctx)
	defer cancel()
	return l.server.adopt(ctx, conn, "", factory, &options)
}

// untilClosing returns ctx, cancelled when the end of the listener begins. It waits until the
// listener has begun: Dial may be called at once.
func (s *server) untilClosing(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(ErrClosed) })
	select {
	case <-s.begun:
	case <-ctx.Done():
	}
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// adopt makes a connection of conn and waits until it is open. host is that of the dialled address,
// "" where there is none.
func (s *server) adopt(ctx context.Context, conn net.Conn, host string, factory tcpactor.Factory, options *DialOptions) (protocol.Socket, error) {
	if ctx.Err() != nil { // perhaps before the listener has begun
		_ = conn.Close()
		return nil, context.Cause(ctx)
	}
	c, err := s.dialled(conn, host, factory, options)
	if err == nil {
		err = c.AwaitOpen(ctx)
	}
	switch {
	case err == nil:
		return c, nil
	case s.shutDown():
		return nil, ErrClosed
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, err
}

// dialled spawns the connection of conn, which is closed where there is an error.
func (s *server) dialled(conn net.Conn, host string, factory tcpactor.Factory, options *DialOptions) (c *connection.Connection, err error) {
	settled := false
	defer func() { // a net.Conn of the user's may panic
		if !settled {
			_ = conn.Close()
		}
	}()
	if !s.enter() {
		return nil, ErrClosed
	}
	defer s.leave()
	o := s.options()
	_ = conn.SetDeadline(time.Time{}) // one for a proxy's answer, for example, would end the connection later
	tune(conn, o, false)              // a net.Dialer has probes of its own
	s.limitKernel(conn, o)
	socket, lane, err := s.transportOf(conn, options.TLSConfig)
	if err != nil {
		return nil, err
	}
	settled = true
	own := s.spawner.Load().Options()
	if options.Connection != nil {
		own = options.Connection.WithDefaults()
	}
	s.spawned.Add(1)
	return s.spawner.Load().SpawnDialled(socket, lane, host, factory, own), nil
}

// transportOf returns the transport of a connection that this side has opened, and its lane.
func (s *server) transportOf(conn net.Conn, config *tls.Config) (transport.Conn, int, error) {
	switch {
	case s.polling != nil && transport.Adoptable(conn) && !transport.Renegotiates(config):
		return s.polling.adopt(conn, config)
	case config != nil:
		return transport.NewTLSClientStream(conn, config, &s.readers), s.streamLane(), nil
	}
	return transport.NewStream(conn, &s.readers), s.streamLane(), nil
}

// limitKernel bounds what the kernel holds of a connection of package net's; see kernelShare.
func (s *server) limitKernel(conn net.Conn, o *Options) {
	if recv, send := s.kernelShare(o); recv+send > 0 {
		if socket, ok := transport.Below[syscall.Conn](conn); ok {
			transport.Limit(socket.(net.Conn), recv, send)
		}
	}
}

package connection

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// This file puts TLS over a connection that is open.
//
// StartTLS queues a barrier among the writes, on the caller's goroutine, so what that caller writes
// next is behind it. From then on (securing) no input is fetched. When the command is obeyed on the
// connection's turn, and the writer has come to the barrier, no call on the socket is under way.
// Then the transport gets TLS over it (covered), and the handshake runs as that of a connection
// that opens does (shakes). When it is done the writer passes the barrier. There is no way back:
// the connection goes on with TLS or ends.

// tlsOrder is the message of a StartTLS that has raised its barrier, or of one that was refused.
type tlsOrder struct {
	config *tls.Config
	err    error // the refusal
	reply  reply
}

// StartTLS implements protocol.Socket.
func (c *Connection) StartTLS(config *tls.Config) error {
	config, err := c.raiseBarrier(config)
	if err == nil {
		c.mailbox.PostUserMessage(&tlsOrder{config: config})
	}
	return err
}

// Errors of a StartTLS that changes nothing.
var (
	errNoTLSConfig   = errors.New("berth: StartTLS needs a TLS configuration")
	errNoCertificate = errors.New("berth: StartTLS: the configuration has no certificate: set one of Certificates, GetCertificate, GetConfigForClient")
	errNoServerName  = errors.New("berth: StartTLS: the address that was dialled has no host: set ServerName, or InsecureSkipVerify")
	errRenegotiates  = errors.New("berth: StartTLS: renegotiation needs the stream transport: set Transport to it, or Renegotiation to RenegotiateNever")
	errNotOpen       = errors.New("berth: StartTLS before the connection is open")
	errTLSBegun      = errors.New("berth: StartTLS is under way already")
	errTLSAlready    = errors.New("berth: StartTLS: the connection has TLS already")
)

// raiseBarrier begins a StartTLS: it returns the configuration to use, or changes nothing. Any
// goroutine may call it.
func (c *Connection) raiseBarrier(config *tls.Config) (*tls.Config, error) {
	config, err := c.checkTLS(config)
	if err != nil {
		return nil, err
	}
	for {
		phase := c.phase.Load()
		if err := c.refusesTLS(phase); err != nil {
			return nil, err
		}
		if c.phase.CompareAndSwap(phase, phase|securing) {
			break
		}
	}
	e := newEntry()
	e.makeRest().barrier = true
	c.writer.post(e)
	return config, nil
}

// refusesTLS returns why a StartTLS cannot be, nil if it can.
func (c *Connection) refusesTLS(phase uint32) error {
	s := state(phase % halfClosed)
	switch {
	case s > open || c.cause.Load() != nil || c.credit.closed():
		return c.closedErr()
	case s == opening:
		return errNotOpen
	case phase&securing != 0:
		return errTLSBegun
	case phase&covered != 0 || c.socket.TLS() != nil:
		return errTLSAlready
	}
	return nil
}

// checkTLS returns the configuration to use. The error is one sentence about a configuration that
// cannot serve.
func (c *Connection) checkTLS(config *tls.Config) (*tls.Config, error) {
	switch {
	case config == nil:
		return nil, errNoTLSConfig
	case !c.dialled() && !transport.HasCertificate(config):
		return nil, errNoCertificate
	case !c.dialled():
		return config, nil
	case transport.Renegotiates(config) && !transport.Reads(c.socket):
		return nil, errRenegotiates
	case config.ServerName != "":
		return config, nil
	}
	host := c.rare.Load().dialled.host
	switch {
	case host == "" && config.InsecureSkipVerify:
		return config, nil
	case host == "":
		return nil, errNoServerName
	}
	named := config.Clone()
	named.ServerName = host
	return named, nil
}

// startTLS carries out a StartTLS on the connection's turn. What the handler has not consumed is
// plain text in front of TLS. What the transport has not given yet may be TLS: the peer may have
// got the last bytes in plain text already. So TLS decides about it, and refuses plain text.
func (c *Connection) startTLS(ctx actor.Context, m *tlsOrder) {
	if m.err != nil {
		c.answer(ctx, m.reply, m.err)
		return
	}
	if c.state() == closed {
		c.refuseTLS(m)
		return
	}
	m.reply.secures = true
	c.wait(m.reply)
	c.makeRare().tls = m.config
	c.phase.And(^unwatched)
	if c.input.Len() > 0 {
		c.failTLS(protocol.ErrBytesBeforeTLS)
	}
}

// refuseTLS answers a StartTLS that came to its turn after the end.
func (c *Connection) refuseTLS(m *tlsOrder) {
	if m.err == nil {
		m.err = c.causeErr()
	}
	c.answerLater(m.reply, m.err)
}

// secure goes on with a StartTLS as far as possible. It returns attend when it is over.
func (c *Connection) secure() any {
	r := c.rare.Load()
	switch {
	case r == nil || r.tls == nil || c.flags.aborted:
		return nil // its message is on the way, or it has failed
	case r.tlsBegan == 0 && !c.writer.ordered(barred):
		return nil // the writer tells
	case r.tlsBegan == 0:
		if err := c.coverSocket(r); err != nil {
			c.failTLS(err)
			return attendNow
		}
	}
	err := c.conn().Handshake(&c.input, c.shared.options.ReadBufferSize)
	c.account()
	if err == transport.ErrAgain {
		return nil
	}
	c.fetched()
	if err != nil {
		c.failTLS(err)
	} else {
		c.signals.Or(signalSecured)
	}
	return attendNow
}

// coverSocket puts TLS over the socket. Everything before the barrier is written. A server of TLS
// does not speak first, so what has come from it already is plain text.
func (c *Connection) coverSocket(r *rare) error {
	if c.dialled() && c.socket.Unread() > 0 {
		return protocol.ErrBytesBeforeTLS
	}
	upper, err := transport.StartTLS(c.socket, r.tls, c.dialled(), c.shared.readers)
	if err != nil {
		return err
	}
	r.covering = upper
	r.tlsBegan = max(c.shared.now(), 1)
	c.phase.Or(covered | shakes)
	c.publishHandshakeStarted()
	return nil
}

// secured ends a StartTLS whose handshake is done.
func (c *Connection) secured(ctx actor.Context) {
	r := c.rare.Load()
	r.tls = nil
	c.phase.And(^(securing | shakes))
	c.read.Add(uint64(c.input.Len()))
	if c.input.Len() > 0 {
		c.flags.forced = due // they came with the handshake
	}
	c.writer.order(orderPass | orderWritable)
	c.publishTLSStarted(c.shared.now() - r.tlsBegan)
	if c.state() == open && c.cause.Load() == nil {
		c.deliver(ctx, &protocol.TLSStarted{Socket: c})
	}
	c.answerWaiting(ctx, func(r reply) bool { return r.secures })
}

// failTLS ends a connection whose StartTLS has failed.
func (c *Connection) failTLS(err error) {
	if transport.NoHandshake(err) {
		err = fmt.Errorf("%w: %w", protocol.ErrBytesBeforeTLS, err)
	}
	c.publishTLSFailed(err)
	c.rare.Load().tls = nil
	c.phase.And(^shakes)
	c.blame(err) // a close under way is no orderly one any more
	c.kill(protocol.ReasonHandshake, err)
}

// shaking reports whether HandshakeTimeout counts for a StartTLS: its handshake has begun, or
// cannot begin because the handler waits for room behind the barrier.
func (c *Connection) shaking(phase uint32) bool {
	return phase&shakes != 0 || c.writer.ordered(barred) && c.awaitsRoom()
}

// shakesSince returns when the sweep has first seen that, on its clock. Only the sweep calls it.
func (c *Connection) shakesSince(now time.Duration) time.Duration {
	r := c.makeRare()
	if r.shakesSeen == 0 {
		r.shakesSeen = now
	}
	return r.shakesSeen
}

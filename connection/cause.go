package connection

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// cause is what ended a connection.
type cause struct {
	reason protocol.Reason
	err    error
}

// plain are the causes without an error. Most connections end in an orderly way, and their causes
// need no memory.
var plain = func() (causes [protocol.ReasonStopped + 1]cause) {
	for reason := range causes {
		causes[reason].reason = protocol.Reason(reason)
	}
	return causes
}()

func causeOf(reason protocol.Reason, err error) *cause {
	if err == nil && int(reason) < len(plain) {
		return &plain[reason]
	}
	return &cause{reason, err}
}

// blame adds err to an end that was orderly until err cut its flush off. The reason stays the first
// one.
func (c *Connection) blame(err error) {
	if why := c.cause.Load(); why != nil && why.err == nil {
		c.cause.CompareAndSwap(why, &cause{why.reason, err})
	}
}

// causeErr returns the error of writes that the end of the connection cut off.
func (c *Connection) causeErr() error {
	if why := c.cause.Load(); why != nil && why.err != nil {
		return why.err
	}
	return protocol.ErrClosed
}

// closedErr returns the error of a write to a connection that accepts no more: what the peer or the
// network ended it with, else ErrClosed. Any goroutine may call it.
func (c *Connection) closedErr() error {
	why := c.cause.Load()
	if why == nil || why.err == nil {
		return protocol.ErrClosed
	}
	switch {
	case why.reason == protocol.ReasonPeerReset, why.reason == protocol.ReasonTransportError:
		return why.err
	case why.reason == protocol.ReasonPeerClosed && transport.IsReset(why.err): // its reset came during our flush
		return why.err
	}
	return protocol.ErrClosed
}

// refusal returns the error that the caller of a refused write of n bytes gets.
func (c *Connection) refusal(n int, err error) error {
	switch {
	case errors.Is(err, protocol.ErrClosed):
		return c.closedErr()
	case errors.Is(err, protocol.ErrWriteTooLarge):
		return fmt.Errorf("%w: %d bytes with a WriteBufferSize of %d; WriteContext takes any length", err, n, c.shared.limits.bytes)
	}
	return err
}

func (c *Connection) endedBy(reason protocol.Reason) bool {
	why := c.cause.Load()
	return why != nil && why.reason == reason
}

// classify returns why an operation on the socket failed.
func (c *Connection) classify(op string, err error) (protocol.Reason, error) {
	if p, ok := errors.AsType[*transport.PanicError](err); ok {
		return protocol.ReasonTransportError, &protocol.PanicError{Value: p.Value, Stack: p.Stack}
	}
	if transport.IsReset(err) {
		return protocol.ReasonPeerReset, c.opError(op, err)
	}
	if op == "write" && errors.Is(err, os.ErrDeadlineExceeded) {
		return protocol.ReasonWriteTimeout, protocol.ErrWriteTimeout // a net.Conn that writes no more after the last try
	}
	return protocol.ReasonTransportError, c.opError(op, err)
}

// opError gives an error of the socket's the form that package net gives it, unless it has that.
func (c *Connection) opError(op string, err error) error {
	var known *net.OpError
	if errors.As(err, &known) && known.Addr != nil {
		return err
	}
	wrapped := &net.OpError{Op: op, Source: c.conn().LocalAddr(), Addr: c.conn().RemoteAddr(), Err: err}
	if wrapped.Addr != nil {
		wrapped.Net = wrapped.Addr.Network()
	}
	return wrapped
}

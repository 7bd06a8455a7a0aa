package connection

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/missing"
	"github.com/go-berth/berth/protocol"
)

// This file gives a live connection another handler.

// Become implements protocol.Socket.
func (c *Connection) Become(handler protocol.Factory) error {
	if err := checkFactory(handler); err != nil {
		return err
	}
	if c.cause.Load() != nil {
		return c.closedErr()
	}
	c.mailbox.PostUserMessage(&order{command: &protocol.Become{Handler: handler}})
	return nil
}

// checkFactory returns one sentence about a factory that makes no handlers.
func checkFactory(factory protocol.Factory) error {
	if missing.Is(factory) {
		return errors.New("berth: Become needs a handler")
	}
	if v, ok := factory.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// factory makes the handlers of this connection.
func (c *Connection) factory() protocol.Factory {
	if r := c.rare.Load(); r != nil && r.factory != nil {
		return r.factory
	}
	return c.shared.factory
}

// become puts a handler of another factory in the place of the current one, as after a panic. A
// connection that has none yet gets its first one from there.
func (c *Connection) become(ctx actor.Context, factory protocol.Factory, r reply) {
	err := checkFactory(factory)
	if err == nil && c.cause.Load() != nil {
		err = c.closedErr()
	}
	if err != nil {
		c.answer(ctx, r, err)
		return
	}
	rare := c.makeRare()
	rare.factory = tcpactor.Keep(c.factory(), factory)
	if c.state() == opening {
		c.answer(ctx, r, nil)
		return
	}
	rare.replaced.Store(0)
	rare.became = false
	r.becomes = true
	c.wait(r)
	c.flags.tenure = broken
	c.replace(ctx)
	c.answerBecome(ctx)
}

// answerBecome answers a Become whose handler is there, or will never be.
func (c *Connection) answerBecome(ctx actor.Context) {
	if c.flags.tenure == serving {
		c.answerWaiting(ctx, func(r reply) bool { return r.becomes })
	}
}

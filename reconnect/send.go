package reconnect

import (
	"bytes"
	"context"
	"errors"

	"github.com/go-berth/berth/protocol"
)

// Write is one write of a Client's.
type Write struct {
	// Data belongs to the client from now on: nothing may change it any more.
	Data []byte
	// Idempotent says that the peer may get Data twice, or a part of it and then all of it on the
	// next connection: the write is sent again where a connection took it with it.
	Idempotent bool
	// Done, if not nil, is called exactly once with the outcome, and never inside Send. After
	// Written err is nil; it runs on the connection's turn then, as every completion does.
	// Otherwise err says what ended the connection or the client, and it runs on a goroutine of the
	// client's, one at a time with Notify; it should not block, and if it panics the client gives
	// up.
	Done func(outcome Outcome, err error)
}

// Write accepts a copy of p, all of it or nothing: len(p), or 0 and an error. See Send.
func (c *Client) Write(p []byte) (int, error) {
	if err := c.Send(Write{Data: bytes.Clone(p)}); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Send accepts a write, whether or not there is a connection. Writes are sent in the order in which
// they were accepted. It never waits for the peer. The error is ErrOutboxFull, ErrClosed or why the
// client gave up, or says that Data is larger than the outbox; then Done never runs, and not a byte
// is sent.
//
// A write that is larger than the WriteBufferSize of the connection ends as NeverSent, with an
// error that matches protocol.ErrWriteTooLarge.
func (c *Client) Send(w Write) error {
	c.mu.Lock()
	switch {
	case c.err != nil:
		err := c.err
		c.mu.Unlock()
		return err
	case c.over || c.life.Err() != nil:
		c.mu.Unlock()
		return ErrClosed
	}
	err := c.outbox.add(w)
	l := c.link
	c.mu.Unlock()
	if err == nil && l != nil {
		c.pump(l)
	}
	return err
}

// Flush waits until no write is without an outcome, and every Done has returned. A Done must not
// call it. The error is ctx's.
func (c *Client) Flush(ctx context.Context) error {
	c.mu.Lock()
	if c.outbox.writes == 0 && c.untold == 0 {
		c.mu.Unlock()
		return nil
	}
	if c.empty == nil {
		c.empty = make(chan struct{})
	}
	empty := c.empty
	c.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// told notes that the Done of so many writes has returned. It lets Flush return if no other is to
// come.
func (c *Client) told(writes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.untold -= writes
	if c.empty != nil && c.outbox.writes == 0 && c.untold == 0 {
		close(c.empty)
		c.empty = nil
	}
}

// pump gives the writes that wait to the connection, as far as it has room for them. One goroutine
// at a time does so, so they stay in order; it holds no lock meanwhile, because a write may wait
// for the kernel.
func (c *Client) pump(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.pumping {
		l.again = true
		return
	}
	l.pumping = true
	for more := true; more; {
		more = c.give(l)
	}
	l.pumping = false
	c.settle(l)
}

// give gives one write to the connection, and reports whether to go on. The lock must be held, and
// is held again afterwards.
func (c *Client) give(l *link) (more bool) {
	if c.link != l || !l.ready || l.closed || c.over {
		return false
	}
	e := c.outbox.give()
	if e == nil {
		return false
	}
	l.again = false
	socket := l.socket
	c.mu.Unlock()
	err := socket.WriteOwned(e.Data, func(err error) { c.completed(l, e, err) })
	c.mu.Lock()
	switch {
	case err == nil:
		return true
	case errors.Is(err, protocol.ErrWriteTooLarge):
		c.outbox.refused(e)
		c.judge(c.outbox.dropFirst(err))
		return true
	}
	c.outbox.refused(e)
	return l.again // else a completion, or Writable, goes on
}

// judge leaves verdicts to the client's goroutine.
func (c *Client) judge(verdicts ...verdict) {
	c.verdicts = append(c.verdicts, verdicts...)
	c.untold += len(verdicts)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// completed is the completion of a write, on the connection's turn.
func (c *Client) completed(l *link, e *entry, err error) {
	c.mu.Lock()
	switch {
	case err == nil:
		c.outbox.sent(e)
		c.untold++
	case errors.Is(err, protocol.ErrDropped):
		c.judge(c.outbox.dropped(e, err))
	}
	c.mu.Unlock()
	if err != nil {
		return // Closed says how far the connection came
	}
	defer func() { // also where Done panics
		c.told(1)
		c.pump(l)
	}()
	if e.Done != nil {
		e.Done(Written, nil)
	}
}

// settle accounts for the writes of a connection that has ended, once no goroutine is about to give
// it another. The lock must be held.
func (c *Client) settle(l *link) {
	if !l.closed || l.pumping || c.link != l {
		return
	}
	c.link = nil
	why := l.err
	if why == nil {
		why = protocol.ErrClosed
	}
	verdicts, maybe := c.outbox.ended(l.sent, why)
	l.maybe = maybe
	c.judge(verdicts...)
	close(l.settled)
}

package requests

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
)

// exchange is what a Pipeline and a Mux share.
type exchange[K comparable, R any] struct {
	options Options
	newTake func() take[K, R] // once for each connection; nil: there is no function that reads answers

	sending sync.Mutex // in order, held from the place in the table to that in the write queue

	mu     sync.Mutex
	table  table[K, R]
	socket protocol.Socket // nil: there is no connection
	timer  *time.Timer     // for the earliest deadline; nil: there was none yet
	late   uint64
}

// take takes one answer out of the buffer. It returns what the answer is for, nil for an answer
// that nothing waits for; an error that matches frame.ErrIncomplete where the answer is not all
// there.
type take[K comparable, R any] func(b *protocol.Buffer) (answer R, c *call[K, R], err error)

func (x *exchange[K, R]) init(inOrder bool, options Options) {
	x.options = options.withDefaults()
	x.table = table[K, R]{inOrder: inOrder, most: x.options.MaxOutstanding}
}

// Outstanding returns how many requests are without an answer. Those of a Pipeline that have ended
// without one count until it comes.
func (x *exchange[K, R]) Outstanding() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.table.len()
}

// Late returns how many answers were dropped because nothing waited for them any more.
func (x *exchange[K, R]) Late() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.late
}

// until returns the deadline of a request that begins now.
func (x *exchange[K, R]) until(timeout time.Duration) time.Time {
	if timeout == 0 {
		timeout = x.options.Timeout
	}
	if timeout < 0 {
		return time.Time{}
	}
	return time.Now().Add(timeout)
}

// start sends a request. With an error done never runs; else it does, exactly once, and not inside
// this call.
func (x *exchange[K, R]) start(id K, data []byte, deadline time.Time, done func(R, error)) (*call[K, R], error) {
	if done == nil {
		done = func(R, error) {}
	}
	if x.table.inOrder {
		x.sending.Lock()
		defer x.sending.Unlock()
	}
	c := &call[K, R]{id: id, deadline: deadline, done: done}
	x.mu.Lock()
	socket := x.socket
	err := ErrNotConnected
	if socket != nil {
		err = x.table.add(c)
	}
	if err == nil {
		x.arm()
	}
	x.mu.Unlock()
	if err != nil {
		return nil, err
	}
	err = socket.WriteOwned(data, func(err error) {
		if errors.Is(err, protocol.ErrDropped) && x.withdraw(c) { // no answer will come, and the connection goes on
			var none R
			done(none, err)
		}
	})
	if err != nil && x.withdraw(c) {
		if ended(err) {
			err = fmt.Errorf("%w: %w", ErrNotConnected, err)
		}
		return nil, err
	}
	return c, nil // if it was refused, it has ended with the connection, and done is told
}

// ended reports whether a write was refused because its connection has begun to end.
func ended(err error) bool {
	_, lost := errors.AsType[*net.OpError](err)
	return lost || errors.Is(err, protocol.ErrClosed)
}

func (x *exchange[K, R]) withdraw(c *call[K, R]) (open bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.table.withdraw(c)
}

// do is start for a goroutine that waits.
func (x *exchange[K, R]) do(ctx context.Context, id K, data []byte) (R, error) {
	type result struct {
		answer R
		err    error
	}
	var none R
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if x.options.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, x.options.Timeout, ErrTimeout)
		defer cancel()
	}
	results := make(chan result, 1)
	c, err := x.start(id, data, time.Time{}, func(answer R, err error) { results <- result{answer, err} })
	if err != nil {
		return none, err
	}
	select {
	case r := <-results:
		return r.answer, r.err
	case <-ctx.Done():
	}
	x.mu.Lock()
	x.table.abandon(c)
	x.mu.Unlock()
	select {
	case r := <-results: // it came in this moment
		return r.answer, r.err
	default:
		return none, context.Cause(ctx)
	}
}

// arm sets the timer to the earliest deadline. The lock must be held.
func (x *exchange[K, R]) arm() {
	switch at := x.table.earliest(); {
	case at.IsZero() && x.timer == nil:
	case at.IsZero():
		x.timer.Stop()
	case x.timer == nil:
		x.timer = time.AfterFunc(time.Until(at), x.ring)
	default:
		x.timer.Reset(time.Until(at))
	}
}

// ring has the requests whose time is over ended on the connection's turn, where all callbacks
// run. The command is one that does nothing.
func (x *exchange[K, R]) ring() {
	x.mu.Lock()
	socket := x.socket
	x.mu.Unlock()
	if socket != nil {
		socket.Do(&protocol.Unlink{}, func(error) { x.expire() })
	}
}

func (x *exchange[K, R]) expire() {
	x.mu.Lock()
	expired := x.table.expire(time.Now())
	x.arm()
	x.mu.Unlock()
	tellAll(expired, ErrTimeout)
}

// attach gives the exchange its connection.
func (x *exchange[K, R]) attach(socket protocol.Socket) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.socket != nil && x.socket != socket { // the same one comes again after a RestartHandler
		return ErrInUse
	}
	x.socket = socket
	return nil
}

// detach takes the connection away, which has ended. Every request that is open fails.
func (x *exchange[K, R]) detach(socket protocol.Socket, why error) {
	x.mu.Lock()
	var open []*call[K, R]
	if x.socket == socket {
		x.socket = nil
		open = x.table.fail()
		x.arm()
	}
	x.mu.Unlock()
	tellAll(open, why)
}

// all takes the answers that are whole.
func (t take[K, R]) all(b *protocol.Buffer) error {
	for {
		answer, c, err := t(b)
		switch {
		case errors.Is(err, frame.ErrIncomplete):
			return nil
		case err != nil:
			return err
		case c != nil:
			c.done(answer, nil)
		}
	}
}

// tellAll ends calls with an error, in order. If one panics, or ends the goroutine, the others are
// still told, as deferred calls.
func tellAll[K comparable, R any](calls []*call[K, R], why error) {
	told := 0
	defer func() {
		if told < len(calls) {
			tellAll(calls[told:], why)
		}
	}()
	for told < len(calls) {
		told++
		var none R
		calls[told-1].done(none, why)
	}
}

package reconnect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/missing"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// Dialer opens the connections of a Client: a *berth.Dialer, or a *berth.Server.
type Dialer interface {
	Dial(ctx context.Context, addr string, handler tcpactor.Factory, options listener.DialOptions) (protocol.Socket, error)
	Adopt(ctx context.Context, conn net.Conn, handler tcpactor.Factory, options listener.DialOptions) (protocol.Socket, error)
}

// ErrClosed refuses writes after the client's end, and is the error of those that it left unsent.
// It matches net.ErrClosed.
var ErrClosed error = closedError{}

type closedError struct{}

func (closedError) Error() string        { return "reconnect: client closed" }
func (closedError) Is(target error) bool { return target == net.ErrClosed }

// Client keeps a connection to one address. Any goroutine may call its methods, handlers and
// actors included, also after its end.
//
// It has one goroutine, which New starts and which ends with the client; Done tells.
type Client struct {
	dialer  Dialer
	addr    string
	factory tcpactor.Factory
	options Options
	life    context.Context // its cause is why the client ends
	end     context.CancelCauseFunc
	wake    chan struct{} // verdicts have come; room for one signal
	done    chan struct{}

	mu          sync.Mutex
	outbox      outbox
	link        *link     // the connection, or the attempt; nil: neither
	verdicts    []verdict // to be told, on the client's goroutine
	untold      int       // writes with an outcome whose Done has not returned
	state       State
	err         error         // why the client has ended
	over        bool          // it takes no more writes
	empty       chan struct{} // closed once no write is without an outcome; nil: nothing waits for it
	attempts    uint64
	connections uint64
}

// String names the client, for logs, and does not read its state.
func (c *Client) String() string { return "client of " + c.addr }

// GoString is String, for %#v.
func (c *Client) GoString() string { return c.String() }

// link is one connection of a client. Its fields are guarded by the client's lock.
type link struct {
	socket  protocol.Socket // written once, by Accepted or by the dial
	ready   bool            // the handler has returned from Accepted
	pumping bool            // a goroutine gives writes to the connection
	again   bool            // and looks once more before it ends that
	closed  bool            // Closed has come; then the next three say how it ended
	sent    uint64
	reason  protocol.Reason
	err     error
	maybe   int           // writes that it took with it
	settled chan struct{} // closed once its writes are accounted for
}

// New starts a client. dialer makes the connections, which end with it, and then the client gives
// up. handler makes the handler of each. ctx bounds the client's life: its end is that of Close.
func New(ctx context.Context, dialer Dialer, addr string, handler tcpactor.Factory, options Options) (*Client, error) {
	if missing.Is(dialer) {
		return nil, errNoDialer
	}
	if ctx == nil {
		return nil, errNoContext
	}
	if err := options.validate(); err != nil {
		return nil, err
	}
	if err := options.Dial.Validate(handler); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	c := &Client{
		dialer: dialer, addr: addr, factory: handler, options: options,
		wake: make(chan struct{}, 1), done: make(chan struct{}),
		outbox: outbox{maxWrites: options.MaxWrites, maxBytes: options.MaxBytes},
	}
	c.life, c.end = context.WithCancelCause(ctx)
	go c.run()
	return c, nil
}

// Close ends the client. It takes no more writes, closes the connection in an orderly way, and
// gives every other write its outcome: to send all of them, call Flush before. Close does not wait;
// Done tells of the end, which may take the connection's CloseTimeout and LingerTimeout. It always
// returns nil, and may be called again.
func (c *Client) Close() error {
	c.end(ErrClosed)
	return nil
}

// Done is closed when nothing of the client is left: every write has its outcome, every callback
// has returned. A handler of its connection, a Done of a write and a Notify must not wait for it.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err returns why the client has ended: ErrClosed, the cause of its context, or why it gave up. It
// is nil before Done is closed.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// State returns what the client is doing.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Socket returns the connection's, nil while there is none. It may end at any time.
func (c *Client) Socket() protocol.Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != Connected || c.link == nil {
		return nil
	}
	return c.link.socket
}

// Info describes a client at one moment. Every write that was accepted is in exactly one of
// Waiting, Given, Written, NeverSent and MaybeSent.
type Info struct {
	State       State
	Attempts    uint64 // to connect
	Connections uint64 // of those, how many succeeded
	Waiting     int    // writes that wait for a connection, or for room in it
	Given       int    // writes that the connection has and the kernel has not
	Bytes       int    // of both
	Written     uint64 // writes by outcome
	NeverSent   uint64
	MaybeSent   uint64
	Resent      uint64 // how often an idempotent write was put back although it may have been sent
}

// Info describes the client at this moment.
func (c *Client) Info() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.outbox
	return Info{
		State: c.state, Attempts: c.attempts, Connections: c.connections,
		Waiting: o.waiting.len(), Given: len(o.given), Bytes: o.bytes,
		Written: o.written, NeverSent: o.neverSent, MaybeSent: o.maybeSent, Resent: o.resent,
	}
}

// run is the client's goroutine.
func (c *Client) run() {
	defer close(c.done)
	wait := newBackoff(c.options.MinBackoff, c.options.MaxBackoff)
	for failures := 0; c.life.Err() == nil; {
		failures++
		c.come(Event{State: Connecting, Attempt: failures})
		l, err := c.connect()
		e := Event{State: Disconnected, Attempt: failures, Err: err}
		if err == nil {
			began := time.Now()
			c.come(Event{State: Connected, Attempt: failures, Socket: l.socket})
			c.serve(l)
			e.Reason, e.Err = l.reason, l.err
			if time.Since(began) >= c.options.StableAfter {
				failures = 0
				wait.reset()
			}
		}
		e.MaybeSent = l.maybe
		if c.life.Err() != nil {
			break
		}
		if err := c.mayNotRetry(failures, err); err != nil {
			c.finish(GaveUp, err)
			return
		}
		e.Wait = wait.next()
		c.come(e)
		c.sleep(e.Wait)
	}
	why := context.Cause(c.life)
	state := Closed
	if failed, is := errors.AsType[*failedError](why); is {
		state, why = GaveUp, failed.err
	}
	c.finish(state, why)
}

// failedError is the cause of a life that a callback's failure ended.
type failedError struct{ err error }

func (e *failedError) Error() string { return e.err.Error() }
func (e *failedError) Unwrap() error { return e.err }

// check ends the client if a callback of the user's has failed.
func (c *Client) check(err error) {
	if err != nil {
		c.end(&failedError{err})
	}
}

// mayNotRetry returns why the client gives up, nil if it goes on. err is the last attempt's; nil if
// it succeeded.
func (c *Client) mayNotRetry(failures int, err error) error {
	if errors.Is(err, listener.ErrClosed) {
		return err
	}
	if retry := c.options.Retry; err != nil && retry != nil {
		again := false
		if failure := guarded(func() { again = retry(err) }); failure != nil {
			return failure
		}
		if !again {
			return err
		}
	}
	if most := c.options.MaxAttempts; most == 0 || failures < most {
		return nil
	}
	if err == nil {
		return fmt.Errorf("reconnect: %d attempts in a row have failed, the last connection ended too soon", failures)
	}
	return fmt.Errorf("reconnect: %d attempts in a row have failed, the last: %w", failures, err)
}

func (c *Client) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-c.life.Done():
			return
		case <-c.wake:
			c.tellVerdicts()
		}
	}
}

// come stores a state and tells it.
func (c *Client) come(e Event) {
	c.mu.Lock()
	c.state = e.State
	c.mu.Unlock()
	c.notify(e)
}

func (c *Client) notify(e Event) {
	if c.options.Notify != nil {
		e.Client = c
		c.check(guarded(func() { c.options.Notify(e) }))
	}
}

// connect makes one attempt.
func (c *Client) connect() (*link, error) {
	l := &link{settled: make(chan struct{})}
	c.mu.Lock()
	c.link = l
	c.attempts++
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.life, c.options.ConnectTimeout)
	defer cancel()
	var socket protocol.Socket
	var err error
	if failure := guarded(func() { socket, err = c.dial(ctx, c.handler(l)) }); failure != nil {
		err = failure
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.link = nil // no handler sees it
		return l, err
	}
	if l.socket == nil { // else Accepted came before
		l.socket = socket
	}
	c.connections++
	return l, nil
}

func (c *Client) dial(ctx context.Context, handler tcpactor.Factory) (protocol.Socket, error) {
	if c.options.Connect == nil {
		return c.dialer.Dial(ctx, c.addr, handler, c.options.Dial)
	}
	conn, err := c.options.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if conn == nil {
		return nil, errors.New("reconnect: Connect returned neither a connection nor an error")
	}
	return c.dialer.Adopt(ctx, conn, handler, c.options.Dial)
}

// serve waits for the end of a connection.
func (c *Client) serve(l *link) {
	ending := c.life.Done()
	for {
		select {
		case <-l.settled:
			c.tellVerdicts()
			return
		case <-c.wake:
			c.tellVerdicts()
		case <-ending:
			ending = nil
			c.refuse()
			_ = l.socket.Close()
		}
	}
}

// refuse ends the taking of writes.
func (c *Client) refuse() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
}

// finish ends the client: the writes that are left get their outcome, then comes the last event.
func (c *Client) finish(state State, why error) {
	c.mu.Lock()
	c.over, c.err = true, why
	c.judge(c.outbox.close(why)...)
	c.mu.Unlock()
	c.tellVerdicts()
	c.end(why) // its context's resources
	c.come(Event{State: state, Err: why})
}

// tellVerdicts tells writers the outcomes that have come.
func (c *Client) tellVerdicts() {
	c.mu.Lock()
	verdicts := c.verdicts
	c.verdicts = nil
	c.mu.Unlock()
	var calls []func()
	for _, v := range verdicts {
		if v.done != nil {
			calls = append(calls, func() { v.done(v.outcome, v.err) })
		}
	}
	c.check(eachGuarded(calls))
	c.told(len(verdicts))
}

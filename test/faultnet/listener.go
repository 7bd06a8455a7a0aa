package faultnet

import (
	"net"
	"sync"
	"time"
)

// Listener is a net.Listener that fails its accepts as a script says, before anything else happens.
// Any goroutine may call its methods.
type Listener struct {
	net.Listener
	mu     sync.Mutex
	script []func() error
	wrap   func(net.Conn) net.Conn
}

// NewListener returns a Listener that accepts what l accepts, while there is nothing in its script.
func NewListener(l net.Listener) *Listener { return &Listener{Listener: l} }

// Fail adds to the script: the next accepts fail with these, one after the other. An accept that
// waits already is not affected.
func (l *Listener) Fail(errs ...error) {
	for _, err := range errs {
		l.Do(func() error { return err })
	}
}

// Do is Fail for accepts that do something of their own: they may block, or panic. One that returns
// nil accepts after that.
func (l *Listener) Do(steps ...func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.script = append(l.script, steps...)
}

// Heal forgets what is left of the script, and wraps no more.
func (l *Listener) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.script, l.wrap = nil, nil
}

// Wrap makes Accept return the result of wrap for each connection. An accept that waits already is
// affected.
func (l *Listener) Wrap(wrap func(net.Conn) net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrap = wrap
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	if step := l.next(); step != nil {
		if err := step(); err != nil {
			return nil, err
		}
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	wrap := l.wrap
	l.mu.Unlock()
	if wrap != nil {
		conn = wrap(conn)
	}
	return conn, nil
}

// next takes a step off the script, nil at its end.
func (l *Listener) next() func() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.script) == 0 {
		return nil
	}
	step := l.script[0]
	l.script = l.script[1:]
	return step
}

// SetDeadline sets the deadline of Accept. It is an error where the listener below has none.
func (l *Listener) SetDeadline(t time.Time) error {
	return call(l.Listener, func(below interface{ SetDeadline(time.Time) error }) error { return below.SetDeadline(t) })
}

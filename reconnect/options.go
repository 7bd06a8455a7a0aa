package reconnect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-berth/berth/listener"
)

// Options of a Client. Of each limit 0 is the default.
type Options struct {
	// Dial are the options of each connection.
	Dial listener.DialOptions
	// Connect, if not nil, opens the net.Conn of each connection instead of the dialer: through a
	// proxy, to the next of several servers, in memory. The client's address is only a name then.
	// It is called on a goroutine of its own and must return once ctx is done.
	Connect func(ctx context.Context) (net.Conn, error)
	// ConnectTimeout bounds one attempt, the handshake of TLS included. Default 10 s.
	ConnectTimeout time.Duration

	// MinBackoff and MaxBackoff bound the wait between two attempts. It doubles after each failure
	// in a row, with a random part of a half. Default 100 ms and 30 s.
	MinBackoff, MaxBackoff time.Duration
	// StableAfter is how long a connection must have lived for the waits to begin with MinBackoff
	// again, and attempts with 1. A connection that ends sooner counts as a failed attempt.
	// Default 10 s.
	StableAfter time.Duration
	// MaxAttempts is how many attempts may fail in a row before the client gives up. Default: no
	// limit.
	MaxAttempts int
	// Retry, if not nil, says whether an attempt that failed with err is followed by another; if
	// not, the client gives up. Default: always. It is called as Notify is.
	Retry func(err error) bool

	// MaxWrites and MaxBytes bound the outbox: the writes that have no outcome yet, whether they
	// wait or the connection has them. Default 1,024 and 1 MiB.
	MaxWrites, MaxBytes int

	// Notify, if not nil, is told of each state that the client comes to, in order and one at a
	// time, on a goroutine of the client's. While it runs the client does not connect, so it should
	// not block, and must not wait for Done. If it panics, the client gives up.
	// The Done of a write may run before the Notify of its connection.
	Notify func(Event)
}

const (
	defaultConnectTimeout = 10 * time.Second
	defaultMinBackoff     = 100 * time.Millisecond
	defaultMaxBackoff     = 30 * time.Second
	defaultStableAfter    = 10 * time.Second
	defaultMaxWrites      = 1024
	defaultMaxBytes       = 1 << 20
)

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		of    *time.Duration
		value time.Duration
	}{
		{&o.ConnectTimeout, defaultConnectTimeout},
		{&o.MinBackoff, min(defaultMinBackoff, orMost(o.MaxBackoff))},
		{&o.MaxBackoff, max(defaultMaxBackoff, o.MinBackoff)},
		{&o.StableAfter, defaultStableAfter},
	} {
		if *d.of == 0 {
			*d.of = d.value
		}
	}
	if o.MaxWrites == 0 {
		o.MaxWrites = defaultMaxWrites
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	return o
}

// orMost returns d, or the longest duration for 0.
func orMost(d time.Duration) time.Duration {
	if d == 0 {
		return 1<<63 - 1
	}
	return d
}

// validate returns one sentence about the first option that cannot be.
func (o *Options) validate() error {
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"ConnectTimeout", o.ConnectTimeout}, {"MinBackoff", o.MinBackoff}, {"MaxBackoff", o.MaxBackoff}, {"StableAfter", o.StableAfter},
	} {
		if d.value < 0 {
			return fmt.Errorf("reconnect: %s %v must not be negative", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"MaxAttempts", o.MaxAttempts}, {"MaxWrites", o.MaxWrites}, {"MaxBytes", o.MaxBytes}} {
		if n.value < 0 {
			return fmt.Errorf("reconnect: %s %d must not be negative", n.name, n.value)
		}
	}
	if o.MaxBackoff != 0 && o.MaxBackoff < o.MinBackoff {
		return fmt.Errorf("reconnect: MaxBackoff %v must not be less than MinBackoff %v", o.MaxBackoff, o.MinBackoff)
	}
	return nil
}

var (
	errNoDialer  = errors.New("reconnect: no dialer")
	errNoContext = errors.New("reconnect: no context: it is nil")
)

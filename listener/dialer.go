package listener

import (
	"context"
	"fmt"
	"net"
	"reflect"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// Dialer opens outgoing connections that run as those of a listener do: each is an actor, with the
// same handlers, options and guarantees, below one supervisor, on event loops of the Dialer's own.
// It is a listener without a listening socket. Any goroutine may call its methods, also after the
// end.
type Dialer struct{ listener *Listener }

// NewDialer starts a dialer without connections. spawner is an actor system's root context, or the
// context of any actor, called on that actor's turn: then the dialer is its child, stopped and
// drained with it.
//
// Of the options those count that are about connections: Transport, Workers, EventLoops,
// Connection, the memory budget, ShutdownTimeout, Owner, DisableNoDelay, KeepAlive, RecvBufferSize,
// SendBufferSize. Any other one is an error.
func NewDialer(spawner actor.SpawnerContext, options Options) (*Dialer, error) {
	if err := checkSpawner(spawner); err != nil {
		return nil, err
	}
	if err := options.forDialer(); err != nil {
		return nil, err
	}
	if err := options.validate(); err != nil {
		return nil, err
	}
	s := newServer(spawner.ActorSystem(), nowhere{}, options, 0)
	if err := s.equip(options.Transport != Stream && transport.PollSupported, 0); err != nil {
		return nil, err
	}
	return &Dialer{s.start(spawner, "dialer")}, nil
}

// nowhere is the address of what does not listen.
type nowhere struct{}

func (nowhere) Network() string { return "dialer" }
func (nowhere) String() string  { return "dialer" }

// dialerOptions are the names of the options that a Dialer has.
var dialerOptions = []string{
	"Transport", "Workers", "EventLoops", "Connection", "MemoryBudget", "MemoryHighWater", "MemoryLowWater", "MemoryTimeout",
	"ShutdownTimeout", "Owner", "DisableNoDelay", "KeepAlive", "RecvBufferSize", "SendBufferSize",
}

// forDialer returns an error for an option that only a listener has.
func (o Options) forDialer() error {
	given := reflect.ValueOf(o)
	for i := range given.NumField() {
		name := given.Type().Field(i).Name
		if !given.Field(i).IsZero() && !slices.Contains(dialerOptions, name) {
			return fmt.Errorf("berth: %s is an option of listeners; a dialer has none", name)
		}
	}
	return nil
}

// Dial opens a connection to addr and returns once it is open: over TLS, once the handshake is
// done. See (*Listener).Dial.
func (d *Dialer) Dial(ctx context.Context, addr string, factory tcpactor.Factory, options DialOptions) (protocol.Socket, error) {
	return d.listener.Dial(ctx, addr, factory, options)
}

// Adopt makes a connection of conn, which some other code has opened. See (*Listener).Adopt.
func (d *Dialer) Adopt(ctx context.Context, conn net.Conn, factory tcpactor.Factory, options DialOptions) (protocol.Socket, error) {
	return d.listener.Adopt(ctx, conn, factory, options)
}

// String names the dialer, for logs, and does not read its state.
func (d *Dialer) String() string { return "dialer " + d.PID().GetId() }

// GoString is String, for %#v.
func (d *Dialer) GoString() string { return d.String() }

// PID returns the address of the dialer's actor: for GetInfo, Shutdown, Watch and Stop.
func (d *Dialer) PID() *actor.PID { return d.listener.PID() }

// ActorSystem is (*Listener).ActorSystem.
func (d *Dialer) ActorSystem() *actor.ActorSystem { return d.listener.ActorSystem() }

// Info describes the dialer at this moment. What is about accepting is zero.
func (d *Dialer) Info() protocol.ListenerInfo { return d.listener.Info() }

// Connections returns those that are open, in no order.
func (d *Dialer) Connections() []protocol.Socket { return d.listener.Connections() }

// WaitConnections is (*Listener).WaitConnections.
func (d *Dialer) WaitConnections(ctx context.Context, cond func(open int) bool) error {
	return d.listener.WaitConnections(ctx, cond)
}

// Shutdown drains the connections and ends the dialer, as (*Listener).Shutdown does. A Dial under
// way fails with ErrClosed.
func (d *Dialer) Shutdown(ctx context.Context) error { return d.listener.Shutdown(ctx) }

// Close aborts the connections and ends the dialer, as (*Listener).Close does.
func (d *Dialer) Close() error { return d.listener.Close() }

// Done is closed when nothing of the dialer is left, as (*Listener).Done is.
func (d *Dialer) Done() <-chan struct{} { return d.listener.Done() }

// defaultDialTimeout bounds a Dial without a limit: the kernel alone tries for about two minutes.
const defaultDialTimeout = 30 * time.Second

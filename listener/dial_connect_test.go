package listener

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// caller is an actor with a dialer as a child: it sends it what it is given, and passes on what
// comes.
type caller struct {
	options Options
	dialer  *Dialer
	begun   chan *Dialer
	got     chan any
}

func (c *caller) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		var err error
		if c.dialer, err = NewDialer(ctx, c.options); err != nil {
			panic(err)
		}
		c.begun <- c.dialer
	case *Connect:
		ctx.Request(c.dialer.PID(), m)
	case *protocol.Connected, *protocol.ConnectFailed:
		c.got <- m
	}
}

// asks starts a caller; it ends with the test, and leaves no actor.
func (w *world) asks(t *testing.T, options Options) (*caller, *actor.PID) {
	t.Helper()
	c := &caller{options: options, begun: make(chan *Dialer, 1), got: make(chan any, 1000)}
	pid := w.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return c }))
	d := receive(t, c.begun)
	t.Cleanup(func() {
		w.Root.Stop(pid)
		<-d.Done()
		eventually(t, func() bool { return len(w.actors()) == 0 })
	})
	return c, pid
}

func (c *caller) failed(t *testing.T) *protocol.ConnectFailed {
	t.Helper()
	m, is := receive(t, c.got).(*protocol.ConnectFailed)
	require.True(t, is, "%v", m)
	return m
}

func TestAnActorConnectsByMessage(t *testing.T) {
	overEach(t, func(t *testing.T, options Options) {
		peer := newWorld().listen(t, of(newEcho()), Options{})
		w := newWorld()
		c, pid := w.asks(t, options)
		a := newAsker()
		w.Root.Send(pid, &Connect{Addr: peer.Addr().String(), Handler: of(a), Ack: 7})
		answer, is := receive(t, c.got).(*protocol.Connected)
		require.True(t, is)
		assert.Equal(t, 7, answer.Ack)
		w.Root.Send(answer.Socket.PID(), &protocol.Write{Data: []byte("hello")})
		assert.Equal(t, "hello", receive(t, a.got))
		require.NoError(t, answer.Socket.Close())
		assert.Equal(t, protocol.ReasonLocalClosed, receive(t, a.closed).Reason)
		assert.Empty(t, c.got, "one answer")
	})
}

// Each failure is one answer with one clear error.
func TestAConnectThatFailsSaysWhy(t *testing.T) {
	overEach(t, func(t *testing.T, options Options) {
		w := newWorld()
		c, pid := w.asks(t, options)
		silent, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		defer silent.Close()
		closed, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		require.NoError(t, closed.Close())
		before := descriptors()
		cancelled, cancel := context.WithCancel(context.Background())
		defer cancel()
		handshake := DialOptions{TLSConfig: &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS13}}
		unknown := DialOptions{Dialer: net.Dialer{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, syscall.ENETUNREACH // no packet leaves this machine
		}}}}
		for name, one := range map[string]struct {
			connect *Connect
			check   func(error)
		}{
			"refused": {&Connect{Addr: closed.Addr().String(), Handler: of(newAsker())}, func(err error) {
				assert.ErrorIs(t, err, syscall.ECONNREFUSED)
			}},
			"timeout": {&Connect{Addr: silent.Addr().String(), Handler: of(newAsker()), Options: handshake}, func(err error) {
				assert.ErrorIs(t, err, context.DeadlineExceeded)
			}},
			"cancelled": {&Connect{Addr: silent.Addr().String(), Handler: of(newAsker()), Options: handshake, Context: cancelled}, func(err error) {
				assert.ErrorIs(t, err, context.Canceled)
			}},
			"unknown name": {&Connect{Addr: "nowhere.invalid:1", Handler: of(newAsker()), Options: unknown}, func(err error) {
				var dns *net.DNSError
				assert.ErrorAs(t, err, &dns)
			}},
			"no handler": {&Connect{Addr: silent.Addr().String()}, func(err error) {
				assert.ErrorContains(t, err, "no handler")
			}},
			"panic": {&Connect{Addr: silent.Addr().String(), Handler: rash{of(newAsker())}}, func(err error) {
				assert.EqualError(t, err, "berth: panic: oops")
			}},
		} {
			t.Run(name, func(t *testing.T) {
				one.connect.Ack = name
				if name == "timeout" {
					brief, done := context.WithTimeout(context.Background(), 20*time.Millisecond)
					defer done()
					one.connect.Context = brief
				}
				w.Root.Send(pid, one.connect)
				if name == "cancelled" {
					peer, err := silent.Accept()
					require.NoError(t, err)
					defer peer.Close()
					cancel()
				}
				m := c.failed(t)
				assert.Equal(t, name, m.Ack)
				assert.Equal(t, one.connect.Addr, m.Addr)
				one.check(m.Err)
			})
		}
		require.NoError(t, c.dialer.WaitConnections(within(t, patience), func(open int) bool { return open == 0 }))
		eventually(t, func() bool { return descriptors() <= before })
		assert.Empty(t, c.got, "one answer each")
	})
}

func TestAConnectToADialerThatEndsIsAnswered(t *testing.T) {
	overEach(t, func(t *testing.T, options Options) {
		silent, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		defer silent.Close()
		w := newWorld()
		d := w.dialer(t, options)
		const asked = 200
		got := make(chan any, asked)
		sender := w.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			switch ctx.Message().(type) {
			case *protocol.Connected, *protocol.ConnectFailed, *actor.DeadLetterResponse:
				got <- ctx.Message()
			}
		}))
		var asking sync.WaitGroup
		asking.Go(func() {
			for range asked {
				w.Root.RequestWithCustomSender(d.PID(), &Connect{
					Addr: silent.Addr().String(), Handler: of(newAsker()),
					Options: DialOptions{TLSConfig: &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS13}},
				}, sender)
			}
		})
		peer, err := silent.Accept() // some are under way
		require.NoError(t, err)
		defer peer.Close()
		require.NoError(t, d.Close())
		asking.Wait()
		for range asked {
			if m, failed := receive(t, got).(*protocol.ConnectFailed); failed {
				assert.ErrorIs(t, m.Err, ErrClosed)
			}
		}
		require.NoError(t, w.Root.StopFuture(sender).Wait())
	})
}

// An answer without an asker is a dead letter, and so is a Connect that is a nil pointer.
func TestAConnectWithoutASenderIsNotLost(t *testing.T) {
	w := newWorld()
	d := w.dialer(t, Options{})
	w.Root.Send(d.PID(), (*Connect)(nil))
	w.Root.Send(d.PID(), &Connect{Addr: "x", Handler: of(newAsker()), Ack: 1})
	eventually(t, func() bool {
		for _, letter := range published[*actor.DeadLetterEvent](w) {
			if m, is := letter.Message.(*protocol.ConnectFailed); is {
				assert.ErrorContains(t, m.Err, "missing port")
				return true
			}
		}
		return false
	})
}

func TestTooManyConnectsAreRefused(t *testing.T) {
	w := newWorld()
	c, pid := w.asks(t, Options{})
	c.dialer.listener.server.connects.count.Add(mostConnects)
	w.Root.Send(pid, &Connect{Addr: "x", Handler: of(newAsker())})
	assert.EqualError(t, c.failed(t).Err, "berth: 16384 dials are under way already")
	c.dialer.listener.server.connects.count.Add(-mostConnects)
	w.Root.Send(pid, &Connect{Addr: "x", Handler: of(newAsker())})
	assert.ErrorContains(t, c.failed(t).Err, "missing port")
}

// rash is a factory that panics where it is asked whether it is complete.
type rash struct{ tcpactor.Factory }

func (rash) Validate() error { panic("oops") }

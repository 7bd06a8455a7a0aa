package netconn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/simnet"
)

func TestMain(m *testing.M) { setup.Main(m) }

const patience = setup.Patience

// network is one way for bytes to travel.
type network struct {
	name      string
	family    string // "sim" is simnet
	transport listener.Transport
	secured   bool
}

var networks = []network{
	{name: "poll", family: "tcp", transport: listener.Poll},
	{name: "stream", family: "tcp", transport: listener.Stream},
	{name: "unix", family: "unix"},
	{name: "tls", family: "tcp", secured: true},
	{name: "memory", family: "sim"},
}

// sockets are those where a peer can reset.
func sockets() []network { return networks[:2] }

func (n network) available() bool { return n.transport != listener.Poll || runtime.GOOS != "windows" }

func newSystem() (*actor.ActorSystem, *setup.Events) {
	system := tcpactor.NewSystem(setup.Silent()...)
	return system, setup.Record(system)
}

// options completes those of a test for the network.
func (n network) options(o listener.Options) listener.Options {
	if n.family != "sim" {
		o.Network = n.family
	}
	o.Transport = n.transport
	if n.secured {
		o.TLSConfig, _ = setup.TLS()
	}
	return o
}

func (n network) address(t testing.TB) string {
	if n.family != "unix" {
		return "127.0.0.1:0"
	}
	return setup.SocketPath(t)
}

// open makes a listener of the network, and what dials it. It is closed with the test.
func (n network) open(t testing.TB, most int, o listener.Options) (*Listener, *setup.Events, func() (net.Conn, error)) {
	t.Helper()
	system, events := newSystem()
	l := newListener(most)
	o = n.options(o)
	var err error
	var dial func() (net.Conn, error)
	if n.family == "sim" {
		sim := simnet.Listen(simnet.Options{})
		_, err = l.serve(system.Root, sim, o)
		dial = func() (net.Conn, error) { return sim.Dial(context.Background()) }
	} else {
		_, err = l.begin(listener.Listen(system.Root, n.address(t), l.factory, completed(o)))
		dial = func() (net.Conn, error) { return net.Dial(n.family, l.Addr().String()) }
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = l.Close()
		_ = l.Server().Close()
		<-l.Server().Done()
	})
	return l, events, n.dressed(dial)
}

// dressed adds TLS where the network has it. The handshake is made by another goroutine, so that a
// dial does not wait for it.
func (n network) dressed(dial func() (net.Conn, error)) func() (net.Conn, error) {
	if !n.secured {
		return dial
	}
	return func() (net.Conn, error) {
		c, err := dial()
		if err != nil {
			return nil, err
		}
		_, config := setup.TLS()
		client := tls.Client(c, config)
		go func() { _ = client.Handshake() }()
		return client, nil
	}
}

// pair returns both ends of a connection; the server's end comes first.
func (n network) pair(t testing.TB, o listener.Options) (*Conn, net.Conn) {
	t.Helper()
	l, _, dial := n.open(t, mostQueued, o)
	client, err := dial()
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	_ = client.SetDeadline(time.Now().Add(patience))
	conn, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*Conn), client
}

func each(t *testing.T, of []network, test func(t *testing.T, n network)) {
	t.Helper()
	for _, n := range of {
		t.Run(n.name, func(t *testing.T) {
			if !n.available() {
				t.Skip("not on " + runtime.GOOS)
			}
			test(t, n)
		})
	}
}

// soon fails a test that does not come to an end.
func soon[T any](t *testing.T, do func() T) T {
	t.Helper()
	done := make(chan T, 1)
	go func() { done <- do() }()
	return receive(t, done)
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	return setup.Receive(t, from)
}

// eventually asks again and again, for things that are not announced.
func eventually(t *testing.T, what func() bool) {
	t.Helper()
	setup.Eventually(t, what)
}

// read reads n bytes.
func read(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	p := make([]byte, n)
	type result struct {
		n   int
		err error
	}
	r := soon(t, func() result {
		n, err := io.ReadFull(c, p)
		return result{n, err}
	})
	require.NoError(t, r.err)
	return string(p[:r.n])
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	n, err := io.WriteString(c, text)
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

// readError reads until there is an error, and returns what came before it.
func readError(t *testing.T, c net.Conn) (string, error) {
	t.Helper()
	type result struct {
		text []byte
		err  error
	}
	r := soon(t, func() result {
		var all []byte
		p := make([]byte, 100)
		for {
			n, err := c.Read(p)
			all = append(all, p[:n]...)
			if err != nil {
				return result{all, err}
			}
		}
	})
	return string(r.text), r.err
}

// opError requires the form of package net.
func opError(t *testing.T, op string, c *Conn, err error) {
	t.Helper()
	var e *net.OpError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, op, e.Op)
	assert.Equal(t, c.LocalAddr(), e.Source)
	assert.Equal(t, c.RemoteAddr(), e.Addr)
	assert.Equal(t, c.RemoteAddr().Network(), e.Net)
}

// timeout reports what package net's callers ask for.
func timeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// ended waits for the end of a connection and returns its reason.
func ended(t *testing.T, c *Conn) protocol.Reason {
	t.Helper()
	eventually(t, func() bool { return c.Socket().Info().State == protocol.StateClosed })
	return c.Socket().Info().Reason
}

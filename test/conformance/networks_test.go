package conformance

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/test/simnet"
)

// network is one way for bytes between a client and a connection. A new transport is a new line of
// networks.
type network struct {
	name      string
	family    string             // as in listener.Options.Network; "sim" is simnet
	transport listener.Transport // nothing to choose for sim
	resets    bool               // the client can send RST, and sees one as ECONNRESET
	proxied   bool               // clients come through a proxy,
	mute      bool               // of which the test plays the part
	secured   bool               // by TLS
	dialled   bool               // it is the connection that connects, and the test's side that accepts
	buffer    int                // of simnet; 0: its default
	like      string             // the network with the same goroutines: the race detector sees nothing new here
}

var networks = []network{
	{name: "tcp-stream", family: "tcp", transport: listener.Stream, resets: true},
	{name: "tcp-poll", family: "tcp", transport: listener.Poll, resets: true},
	{name: "tcp-poll-proxied", family: "tcp", transport: listener.Poll, resets: true, proxied: true, like: "tcp-poll"},
	{name: "tls", family: "tcp", transport: listener.Stream, resets: true, secured: true},
	{name: "tls-poll", family: "tcp", transport: listener.Poll, resets: true, secured: true},
	{name: "tcp-poll-dialled", family: "tcp", transport: listener.Poll, resets: true, dialled: true},
	{name: "tls-poll-dialled", family: "tcp", transport: listener.Poll, resets: true, secured: true, dialled: true},
	{name: "unix-poll", family: "unix", transport: listener.Poll},
	{name: "unix-stream", family: "unix", transport: listener.Stream, like: "tcp-stream"},
	{name: "simnet-proxied", family: "sim", resets: true, proxied: true, like: "simnet"},
	{name: "simnet", family: "sim", resets: true},
}

// virtual reports whether the clock is a bubble's.
func (n network) virtual() bool { return n.family == "sim" }

// available reports whether this system has such a network.
func (n network) available() bool { return n.transport != listener.Poll || runtime.GOOS != "windows" }

// run runs test in a bubble if the network is simulated.
func (n network) run(t *testing.T, test func(t *testing.T)) {
	if n.virtual() {
		synctest.Test(t, test)
	} else {
		test(t)
	}
}

// sendBuffer is the size of the kernel's buffer at the server's side, small enough to be filled
// quickly.
const sendBuffer = 64 << 10

// dial connects one more client.
type dial func() (net.Conn, error)

// listen starts a listener on a free address of this network.
func (n network) listen(w *world, factory tcpactor.Factory, options listener.Options) (*listener.Listener, dial) {
	if n.virtual() {
		return n.simulate(w, factory, options)
	}
	options.Network, options.Transport = n.family, n.transport
	if options.SendBufferSize == 0 {
		options.SendBufferSize = sendBuffer
	}
	address := "127.0.0.1:0"
	if n.family == "unix" {
		address = setup.SocketPath(w.t)
	}
	l, err := listener.Listen(w.system.Root, address, factory, n.dressed(options))
	require.NoError(w.t, err)
	if n.dialled {
		return l, n.dialledBy(w, l, factory)
	}
	return l, n.dressing(func() (net.Conn, error) { return net.Dial(n.family, l.Addr().String()) })
}

// dressed makes a listener expect the preamble of this network, which comes before the first byte.
func (n network) dressed(options listener.Options) listener.Options {
	if n.proxied {
		options.ProxyProtocol = listener.ProxyProtocol{Enabled: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	}
	if n.secured && !n.dialled {
		options.TLSConfig, _ = setup.TLS()
	}
	return options
}

// dressing performs that preamble at the client's side.
func (n network) dressing(connect dial) dial {
	if n.mute {
		return connect
	}
	return func() (net.Conn, error) {
		c, err := connect()
		if err == nil && n.proxied {
			_, err = io.WriteString(c, header)
		}
		if err == nil && n.secured {
			_, config := setup.TLS()
			secured := tls.Client(c, config)
			go func() { _ = secured.Handshake() }() // not here: as a dial it would wait for the accept
			c = secured
		}
		return c, err
	}
}

// dialledBy has l open connections to a socket of the test's, which accepts them.
func (n network) dialledBy(w *world, l *listener.Listener, factory tcpactor.Factory) dial {
	target, err := net.Listen(n.family, "127.0.0.1:0")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = target.Close() })
	server, client := setup.TLS()
	var options listener.DialOptions
	if n.secured {
		options.TLSConfig = client
	}
	var dials sync.WaitGroup
	w.t.Cleanup(dials.Wait)
	return func() (net.Conn, error) {
		dials.Go(func() {
			if _, err := l.Dial(context.Background(), target.Addr().String(), factory, options); errors.Is(err, listener.ErrClosed) {
				_ = target.Close() // no connection will come
			}
		})
		c, err := target.Accept()
		if err == nil && n.secured {
			secured := tls.Server(c, server)
			_ = secured.Handshake() // a close before its end would be a reset
			c = secured
		}
		return c, err
	}
}

func (n network) simulate(w *world, factory tcpactor.Factory, options listener.Options) (*listener.Listener, dial) {
	sim := simnet.Listen(simnet.Options{BufferSize: n.buffer, Window: n.buffer})
	var from net.Listener = sim
	if n.proxied {
		from = addressed{sim}
	}
	l, err := listener.Serve(w.system.Root, from, factory, n.dressed(options))
	require.NoError(w.t, err)
	return l, n.dressing(func() (net.Conn, error) { return sim.Dial(context.Background()) })
}

// eachNetwork runs test once per network, each in a world of its own.
func eachNetwork(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, n := range networks {
		n.each(t, test)
	}
}

// each runs test as one of several.
func (n network) each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run(n.name, func(t *testing.T) {
		if !n.available() {
			t.Skip("not on " + runtime.GOOS)
		}
		if setup.Raced && n.like != "" {
			t.Skip("the race detector has seen this on " + n.like)
		}
		if _, found := waiting.Load(root(t)); found && !n.virtual() {
			t.Parallel()
		}
		n.run(t, func(t *testing.T) { inWorld(t, n, test) })
	})
}

// waiting are the tests, by name, whose networks run at the same time.
var waiting sync.Map

// mostlyWaits lets the networks of a test run at the same time, for a test that waits for time to
// pass and does next to no work. It comes first in the test.
func mostlyWaits(t *testing.T) { waiting.Store(root(t), true) }

// root returns the name of the test that t is a part of.
func root(t *testing.T) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	return name
}

// eachForm runs test once per network and handler form.
func eachForm(t *testing.T, test func(t *testing.T, w *world, open factoryOf)) {
	t.Helper()
	for name, open := range factories {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) { test(t, w, open) })
		})
	}
}

// inBubble runs test on the simulated network alone. It is for tests that need an exact clock.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	n := networks[len(networks)-1]
	require.True(t, n.virtual())
	n.run(t, func(t *testing.T) { inWorld(t, n, test) })
}

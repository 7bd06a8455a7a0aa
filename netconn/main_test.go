package netconn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what comes at once; only a failing test waits that long.
const patience = 20 * time.Second

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

// events are what the actor system published.
type events struct {
	mu  sync.Mutex
	all []any
}

func published[T any](e *events) (some []T) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		if one, is := event.(T); is {
			some = append(some, one)
		}
	}
	return some
}

func newSystem() (*actor.ActorSystem, *events) {
	e := &events{}
	system := tcpactor.NewSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	system.EventStream.Subscribe(func(event any) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, event)
	})
	return system, e
}

// options completes those of a test for the network.
func (n network) options(o listener.Options) listener.Options {
	if n.family != "sim" {
		o.Network = n.family
	}
	o.Transport = n.transport
	if n.secured {
		o.TLSConfig, _ = certified()
	}
	return o
}

func (n network) address(t testing.TB) string {
	if n.family != "unix" {
		return "127.0.0.1:0"
	}
	dir, err := os.MkdirTemp("", "netconn") //nolint:usetesting // t.TempDir's names are too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// open makes a listener of the network, and what dials it. It is closed with the test.
func (n network) open(t testing.TB, most int, o listener.Options) (*Listener, *events, func() (net.Conn, error)) {
	t.Helper()
	system, events := newSystem()
	l := newListener(system, most)
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
		_, config := certified()
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
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// eventually polls what nothing announces.
func eventually(t *testing.T, what func() bool) {
	t.Helper()
	require.Eventually(t, what, patience, time.Millisecond)
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

// certified returns the configurations of a server and of a client that trusts it.
var certified = sync.OnceValues(func() (server, client *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{certificate}}, &tls.Config{RootCAs: pool, ServerName: "localhost"}
})

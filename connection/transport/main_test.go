package transport_test

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/simnet"
)

func TestMain(m *testing.M) { setup.Main(m) }

const patience = setup.Patience

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	return setup.Receive(t, from)
}

// events notes what a Stream announces.
type events struct {
	readable, full chan struct{}
}

func newEvents() *events {
	return &events{readable: make(chan struct{}, 10), full: make(chan struct{}, 100)}
}

func (e *events) Readable(bool) { e.readable <- struct{}{} }
func (e *events) Writable()     { panic("a Stream blocks instead") }
func (e *events) Full() {
	select {
	case e.full <- struct{}{}:
	default:
	}
}

// pairs are the kinds of net.Conn that a Stream is tried over: a function each that connects two of
// them.
var pairs = map[string]func(t *testing.T) (ours, theirs net.Conn){
	"simnet": func(*testing.T) (net.Conn, net.Conn) {
		a, b := simnet.Pipe(simnet.Options{BufferSize: 1 << 10})
		return a, b
	},
	"net.Pipe": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
	"TCP":      tcpPair,
	"unix": func(t *testing.T) (net.Conn, net.Conn) {
		return socketPair(t, "unix", setup.SocketPath(t))
	},
}

func tcpPair(t *testing.T) (ours, theirs net.Conn) { return socketPair(t, "tcp", "127.0.0.1:0") }

func socketPair(t *testing.T, network, address string) (ours, theirs net.Conn) {
	l, err := net.Listen(network, address)
	require.NoError(t, err)
	defer l.Close()
	theirs, err = net.Dial(network, l.Addr().String())
	require.NoError(t, err)
	ours, err = l.Accept()
	require.NoError(t, err)
	return ours, theirs
}

// overEach runs a test with an open Stream and its peer over each kind, and requires that the
// reader ends with it.
func overEach(t *testing.T, test func(t *testing.T, s *transport.Stream, e *events, peer net.Conn)) {
	for name, connect := range pairs {
		t.Run(name, func(t *testing.T) {
			ours, peer := connect(t)
			defer peer.Close()
			var joined sync.WaitGroup
			s, e := transport.NewStream(ours, &joined), newEvents()
			require.True(t, s.Open(e))
			test(t, s, e, peer)
			_ = s.Close()
			joined.Wait()
		})
	}
}

// secured are the ways in which TLS comes to a Stream.
var secured = map[string]func(conn net.Conn, config *tls.Config, joined *sync.WaitGroup) *transport.Stream{
	"TLS": transport.NewTLSStream,
	"TLS of the listener": func(conn net.Conn, config *tls.Config, joined *sync.WaitGroup) *transport.Stream {
		return transport.NewStream(tls.Server(conn, config), joined)
	},
}

// overEverything is overEach, and the same with TLS; the handshake is over then.
func overEverything(t *testing.T, test func(t *testing.T, s *transport.Stream, e *events, peer net.Conn)) {
	overEach(t, test)
	config := certified(t)
	for way, stream := range secured {
		for name, connect := range pairs {
			t.Run(name+" "+way, func(t *testing.T) {
				ours, peer := connect(t)
				defer peer.Close()
				var joined sync.WaitGroup
				s, e := stream(ours, config, &joined), newEvents()
				require.False(t, s.Open(e))
				client := tls.Client(peer, trusting)
				met := make(chan error, 1)
				go func() { met <- client.Handshake() }()
				require.NoError(t, shakeHands(t, s, e.readable, new(transport.Input), 100))
				require.NoError(t, receive(t, met))
				test(t, s, e, client)
				s.Abort()
				joined.Wait()
			})
		}
	}
}

// fill calls Fill until something comes.
func fill(t *testing.T, s *transport.Stream, e *events, in *transport.Input, room int) (int, error) {
	t.Helper()
	for {
		n, err := s.Fill(in, room)
		if err != transport.ErrAgain {
			return n, err
		}
		receive(t, e.readable)
	}
}

// shakeHands continues the handshake to its end.
func shakeHands(t *testing.T, c transport.Conn, readable <-chan struct{}, in *transport.Input, room int) error {
	t.Helper()
	for {
		err := c.Handshake(in, room)
		if err != transport.ErrAgain {
			return err
		}
		receive(t, readable)
	}
}

// rest returns what is in in and what comes until the peer's FIN.
func rest(t *testing.T, c transport.Conn, readable <-chan struct{}, in *transport.Input) string {
	t.Helper()
	defer in.Release()
	for {
		switch _, err := c.Fill(in, 1000); err {
		case nil:
		case transport.ErrAgain:
			receive(t, readable)
		default:
			require.ErrorIs(t, err, io.EOF)
			return string(in.Bytes())
		}
	}
}

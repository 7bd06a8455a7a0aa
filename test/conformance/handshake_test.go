package conformance

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/simnet"
)

// A8, G11 for the handshake, with any behaviour of the client: neither accepting nor any other
// connection waits for it, no handler is called, and it ends within HandshakeTimeout.

// secured is a server with TLS on a simulated network with buffers of a given size.
func (w *world) secured(play script, buffer int, o connection.Options) (*server, dial) {
	w.t.Helper()
	config, _ := setup.TLS()
	s := &server{w: w, accepted: make(chan *tape, 1024)}
	sim := simnet.Listen(simnet.Options{BufferSize: buffer})
	l, err := listener.Serve(w.system.Root, sim, handlersForm(s, play), listener.Options{TLSConfig: config, Connection: o})
	require.NoError(w.t, err)
	s.Listener = l
	w.servers = append(w.servers, s)
	return s, func() (net.Conn, error) { return sim.Dial(context.Background()) }
}

// rationed is a client's socket that sends a given number of bytes and then silently no more.
type rationed struct {
	net.Conn
	left int
}

func (r *rationed) Write(p []byte) (int, error) {
	n := min(r.left, len(p))
	r.left -= n
	if _, err := r.Conn.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flights returns how many bytes a client of this version sends in its first flight, and in all,
// until its handshake is over.
func flights(t *testing.T, connect dial, config *tls.Config) (first, all int) {
	c, err := connect()
	require.NoError(t, err)
	counted := &rationed{Conn: c, left: 1 << 20}
	lengths := &firstWrite{Conn: counted}
	client := tls.Client(lengths, config)
	require.NoError(t, client.Handshake())
	_ = c.Close()
	return lengths.n, 1<<20 - counted.left
}

type firstWrite struct {
	net.Conn
	n int
}

func (f *firstWrite) Write(p []byte) (int, error) {
	if f.n == 0 {
		f.n = len(p)
	}
	return f.Conn.Write(p)
}

func TestAStalledHandshakeDelaysNoOther(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				server, trusting := setup.TLS()
				server, client := server.Clone(), trusting.Clone()
				server.MinVersion, client.MinVersion, client.MaxVersion = version, version, version
				s := w.listen(script{data: echo}, listener.Options{TLSConfig: server, MaxConnections: 10_000})
				first, all := flights(t, s.dial, client)
				w.settle()
				served := int(s.Info().Accepted)

				cuts := []int{1, 4, 5, first - 1, first, first + 1, all - 1} // bytes that the client sends, of first in its first flight
				for cut := 0; cut < all; cut += 13 {
					cuts = append(cuts, cut)
				}
				start, waited := time.Now(), time.Duration(0)
				ended := make(chan time.Duration, len(cuts))
				for _, cut := range cuts {
					c, err := s.dial()
					require.NoError(t, err)
					w.clients = append(w.clients, c)
					go func() {
						_ = tls.Client(&rationed{Conn: c, left: cut}, client).Handshake()
						_, _ = io.Copy(io.Discard, c)
						ended <- time.Since(start)
					}()
					good, err := s.dial()
					require.NoError(t, err)
					secured := tls.Client(good, client)
					_, err = io.WriteString(secured, "hello")
					require.NoError(t, err)
					answer := make([]byte, 5)
					_, err = io.ReadFull(secured, answer)
					require.NoError(t, err)
					waited = max(waited, time.Since(start))
					_ = secured.Close()
				}
				require.Zero(t, waited, "a good client waits for no other")
				var longest time.Duration
				for range cuts {
					took := <-ended
					within(t, 5*time.Second, took)
					longest = max(longest, took)
				}
				time.Sleep(10 * time.Second)
				info := s.Info()
				assert.EqualValues(t, len(cuts), info.Ended[protocol.ReasonHandshake])
				assert.EqualValues(t, served+2*len(cuts), info.Accepted)
				assert.Len(t, w.tapes, len(cuts)+1, "no handler saw the others")
				report.Add(t, report.Row{ID: "A8", Holds: "G11", Figures: map[string]any{
					"version": name, "handshakes that stall": len(cuts), "longest": longest.String(), "a good client waited": waited.String(),
				}, Duration: time.Since(start)})
			})
		})
	}
}

func TestAClientThatDoesNotReadTheServersFlightEndsAtTheTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s, connect := w.secured(script{}, 300, connection.Options{}) // a certificate does not fit
		_, client := setup.TLS()
		c, err := connect()
		require.NoError(t, err)
		defer c.Close()
		start := time.Now()
		deaf := writesOnly{c, make(chan struct{})}
		defer close(deaf.end)
		go func() { _ = tls.Client(deaf, client).Handshake() }()
		for s.Info().Ended[protocol.ReasonHandshake] == 0 {
			time.Sleep(time.Millisecond)
		}
		within(t, 5*time.Second, time.Since(start))
		assert.Empty(t, w.tapes)
	})
}

// writesOnly is a client that never reads.
type writesOnly struct {
	net.Conn
	end chan struct{}
}

func (c writesOnly) Read([]byte) (int, error) {
	<-c.end
	return 0, net.ErrClosed
}

func TestWhatIsNoHandshakeEndsAtOnce(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	garbage := make([]byte, 1000)
	_, _ = random.Read(garbage)
	garbage[0] = 0x80 // no record of TLS begins so
	for name, text := range map[string]string{
		"plaintext":           "GET / HTTP/1.1\r\nHost: example\r\n\r\n",
		"garbage":             string(garbage),
		"too long a record":   "\x16\x03\x01\xff\xff" + strings.Repeat("x", 100),
		"no ClientHello":      "\x16\x03\x01\x00\x04\x63\x00\x00\x00",
		"data at once":        "\x17\x03\x03\x00\x05hello",
		"an alert":            "\x15\x03\x01\x00\x02\x02\x28",
		"a broken Hello":      "\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00",
		"an old version":      "\x16\x02\x00\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00",
		"a header of PROXY's": header,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				var failures []string
				subscription := w.system.EventStream.Subscribe(func(event any) {
					if failed, ok := event.(*connection.HandshakeFailed); ok {
						failures = append(failures, fmt.Sprint(failed.RemoteAddr, " ", failed.Err))
					}
				})
				defer w.system.EventStream.Unsubscribe(subscription)
				config, _ := setup.TLS()
				s := w.listen(script{}, listener.Options{TLSConfig: config, Connection: connection.Options{HandshakeTimeout: -1}})
				p := s.client()
				start := time.Now()
				_, _ = io.WriteString(p.Conn, text)
				_, _ = p.all()
				assert.Zero(t, time.Since(start))
				assert.EqualValues(t, 1, s.failed())
				assert.Empty(t, w.tapes)
				require.Len(t, failures, 1, "%v", failures)
				assert.Contains(t, failures[0], "tls: ")
			})
		})
	}
}

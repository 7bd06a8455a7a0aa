package conformance

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/simnet"
)

// Progress means bytes that the kernel took or gave, not a call that returned (G16).

// narrow are simulated networks with buffers smaller than a record of TLS.
var narrow = []network{
	{name: "simnet", family: "sim", buffer: 16},
	{name: "simnet-tls", family: "sim", buffer: 16, secured: true},
}

// unhurried is a client's socket that, once slow is set, takes and sends one byte at a time, one
// pace after the one before.
type unhurried struct {
	net.Conn
	slow atomic.Bool
	pace time.Duration
}

func (u *unhurried) Read(p []byte) (int, error) {
	if u.slow.Load() && len(p) > 0 {
		time.Sleep(u.pace)
		p = p[:1]
	}
	return u.Conn.Read(p)
}

func (u *unhurried) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		k := len(p)
		if u.slow.Load() {
			time.Sleep(u.pace)
			k = n + 1
		}
		k, err = u.Conn.Write(p[n:k])
		n += k
	}
	return n, err
}

// unhurriedly connects a client that becomes slow when told to.
func (s *server) unhurriedly(pace time.Duration) (*peer, *unhurried, *tape) {
	s.w.t.Helper()
	u := &unhurried{pace: pace}
	n := s.w.network
	plain := s.dial
	c, err := n.dressing(func() (net.Conn, error) {
		c, err := plain()
		u.Conn = c
		return u, err
	})()
	require.NoError(s.w.t, err)
	p := &peer{Conn: c, w: s.w}
	s.w.clients = append(s.w.clients, c)
	tape := <-s.accepted
	return p, u, tape
}

// undressed makes a server's clients come without the network's preamble: unhurriedly performs it.
func (w *world) undressed(play script, options connection.Options) *server {
	dressed := w.network
	w.network.secured = false
	s := &server{w: w, accepted: make(chan *tape, 1024)}
	var err error
	l, connect := w.network.simulate(w, handlersForm(s, play), dressed.dressed(only(options)))
	require.NoError(w.t, err)
	s.Listener, s.dial = l, connect
	w.servers = append(w.servers, s)
	w.network = dressed
	return s
}

func TestAPeerThatTakesAByteJustBeforeEveryLimitGetsEverything(t *testing.T) {
	const limit, size = 10 * time.Second, 200
	text := pattern(size)
	for name, write := range map[string]func(w *world, t *tape) error{
		"one slice": func(_ *world, t *tape) error { return t.write("big", text) },
		"a file": func(w *world, t *tape) error {
			err := t.socket.WriteFile(w.file(text), 0, size, t.done("big"))
			t.owe("big", size, err)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range narrow {
				n.each(t, func(t *testing.T, w *world) {
					s := w.undressed(script{}, connection.Options{WriteTimeout: limit, IdleTimeout: limit})
					p, u, tape := s.unhurriedly(limit - time.Millisecond)
					u.slow.Store(true)
					require.NoError(t, write(w, tape))
					p.expect(text)
					u.slow.Store(false)
					require.NoError(t, tape.await("big").err)
				})
			}
		})
	}
}

func TestAPeerThatSendsAByteWithinEveryLimitIsNeverIdle(t *testing.T) {
	const limit = 10 * time.Second
	for _, n := range narrow {
		n.each(t, func(t *testing.T, w *world) {
			s := w.undressed(script{data: echo}, connection.Options{IdleTimeout: limit})
			p, u, _ := s.unhurriedly(limit - time.Millisecond)
			u.slow.Store(true)
			p.send("slowly")
			u.slow.Store(false)
			p.expect("slowly")
		})
	}
}

// Incoming bytes are no progress of outgoing ones, even if both are seen below TLS.
func TestAPeerThatOnlySendsEndsAtTheWriteTimeout(t *testing.T) {
	const limit = 10 * time.Second
	for _, n := range narrow {
		n.each(t, func(t *testing.T, w *world) {
			s := w.undressed(script{}, connection.Options{WriteTimeout: limit, WriteBufferSize: stallSize})
			p, u, tape := s.unhurriedly(limit / 7)
			u.slow.Store(true)
			go func() { _, _ = io.WriteString(p, pattern(1000)) }()
			tape.stall()
			start := time.Now()
			closed := tape.ended()
			assert.Equal(t, protocol.ReasonWriteTimeout, closed.Reason)
			within(t, limit, time.Since(start))
			u.slow.Store(false)
			_ = p.Close()
		})
	}
}

// A step of up to 256 KiB would take two seconds and a half.
func TestASlowReaderGetsEverything(t *testing.T) {
	const size, bite, pace, limit = 700 << 10, 8 << 10, 50 * time.Millisecond, time.Second
	text := pattern(size)
	for _, n := range networks {
		t.Run(n.name, func(t *testing.T) {
			if !n.available() {
				t.Skip("not on this system")
			}
			if !n.virtual() {
				t.Parallel() // each takes seconds and next to no work
			}
			n.run(t, func(t *testing.T) {
				inWorld(t, n, func(t *testing.T, w *world) {
					p, tape := w.serve(script{}, connection.Options{WriteTimeout: limit, IdleTimeout: limit, WriteBufferSize: size}).connect()
					socket := p.Conn
					if secured, ok := socket.(*tls.Conn); ok {
						socket = secured.NetConn()
					}
					if narrow, ok := socket.(interface{ SetReadBuffer(int) error }); ok {
						require.NoError(t, narrow.SetReadBuffer(32<<10)) // or the kernel would take most of it at once
					}
					done, state := tape.done("big"), protocol.StateOpening
					require.NoError(t, tape.socket.WriteOwned([]byte(text), func(err error) {
						state = tape.socket.Info().State // an idle connection would be flushed
						done(err)
					}))
					tape.owe("big", size, nil)
					var got []byte
					ticker := time.NewTicker(pace)
					defer ticker.Stop()
					for len(got) < size {
						<-ticker.C
						got = append(got, p.take(min(bite, size-len(got)))...)
					}
					same(t, text, string(got))
					require.NoError(t, tape.await("big").err)
					assert.Equal(t, protocol.StateOpen, state)
				})
			})
		})
	}
}

func TestFINFollowsCloseNotifyWithoutDelay(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s, connect := w.secured(script{}, 0, connection.Options{})
		socket, err := connect()
		require.NoError(t, err)
		defer socket.Close()
		_, config := setup.TLS()
		client := tls.Client(socket, config)
		require.NoError(t, client.Handshake())
		tape := <-s.accepted
		require.NoError(t, tape.say("bye"))
		start := time.Now()
		_ = tape.socket.Close()
		said, err := io.ReadAll(client)
		require.NoError(t, err, "close_notify")
		assert.Equal(t, "bye", string(said))
		_, err = socket.Read(make([]byte, 1))
		require.Equal(t, io.EOF, err, "FIN")
		assert.Zero(t, time.Since(start))
		_ = client.Close()
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason)
		assert.Zero(t, time.Since(start), "and the client's end is the connection's")
	})
}

// hiding is a listener of connections that use TLS without showing it: after a write deadline they
// write no more.
type hiding struct {
	net.Listener
	config *tls.Config
}

func (h hiding) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{tls.Server(c, h.config)}, nil
}

// A user's connection that cannot be interrupted gets its whole time, and ends for the same reason
// as others.
func TestWriteTimeoutBehindForeignTLS(t *testing.T) {
	const limit, size = 10 * time.Second, 200 << 10
	text := pattern(size)
	connect := func(w *world) (*peer, *tape) {
		serverConfig, clientConfig := setup.TLS()
		sim := simnet.Listen(simnet.Options{BufferSize: 1000})
		s := w.serveOn(hiding{sim, serverConfig}, func() (net.Conn, error) {
			c, err := sim.Dial(context.Background())
			if err != nil {
				return nil, err
			}
			secured := tls.Client(c, clientConfig)
			go func() { _ = secured.Handshake() }()
			return secured, nil
		}, script{data: echo}, only(connection.Options{WriteTimeout: limit, WriteBufferSize: size}))
		p, tape := s.connect()
		p.send("x") // such a handshake needs a peer that reads
		p.expect("x")
		return p, tape
	}
	inBubble(t, func(t *testing.T, w *world) {
		p, tape := connect(w)
		require.NoError(t, tape.write("big", text))
		for got := 0; got < size; got += size / 10 {
			time.Sleep(limit - time.Millisecond)
			assert.Equal(t, text[got:got+size/10], string(p.take(size/10)))
		}
		assert.NoError(t, tape.await("big").err)
	})
	inBubble(t, func(t *testing.T, w *world) {
		_, tape := connect(w)
		require.NoError(t, tape.write("big", text))
		start := time.Now()
		assert.Equal(t, protocol.ReasonWriteTimeout, tape.ended().Reason)
		within(t, limit, time.Since(start))
		assert.ErrorIs(t, tape.await("big").err, protocol.ErrWriteTimeout)
	})
}

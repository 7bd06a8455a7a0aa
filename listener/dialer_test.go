package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// asker is the handler of a dialled connection: it passes on what comes.
type asker struct {
	got    chan string
	closed chan *protocol.Closed
	onOpen func(protocol.Socket) error
}

func newAsker() *asker {
	return &asker{got: make(chan string, 100), closed: make(chan *protocol.Closed, 1)}
}

func (a *asker) Accepted(s protocol.Socket) error {
	if a.onOpen != nil {
		return a.onOpen(s)
	}
	return nil
}

func (a *asker) Data(_ protocol.Socket, b *protocol.Buffer) error {
	a.got <- string(b.Bytes())
	b.Discard(b.Len())
	return nil
}

func (a *asker) Closed(_ protocol.Socket, c *protocol.Closed) {
	copied := *c
	a.closed <- &copied
}

func (w *world) dialer(t *testing.T, options Options) *Dialer {
	t.Helper()
	d, err := NewDialer(w.Root, options)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = d.Close()
		<-d.Done()
		assert.Empty(t, w.actors())
	})
	return d
}

type dialFunc func(ctx context.Context, addr string, a *asker, o DialOptions) (protocol.Socket, error)

// dials are the ways to open an outgoing connection.
func dials(t *testing.T, test func(t *testing.T, dial dialFunc)) { dialsWith(t, Options{}, test) }

func dialsWith(t *testing.T, options Options, test func(t *testing.T, dial dialFunc)) {
	overEach(t, func(t *testing.T, each Options) {
		options := options
		options.Transport = each.Transport
		t.Run("dialer", func(t *testing.T) {
			w := newWorld()
			d := w.dialer(t, options)
			test(t, func(ctx context.Context, addr string, a *asker, o DialOptions) (protocol.Socket, error) {
				return d.Dial(ctx, addr, of(a), o)
			})
		})
		t.Run("listener", func(t *testing.T) {
			w := newWorld()
			l := w.listen(t, of(newEcho()), options)
			test(t, func(ctx context.Context, addr string, a *asker, o DialOptions) (protocol.Socket, error) {
				return l.Dial(ctx, addr, of(a), o)
			})
		})
	})
}

func TestADialledConnectionTalksAndEnds(t *testing.T) {
	dials(t, func(t *testing.T, dial dialFunc) {
		e := newEcho()
		peer := newWorld().listen(t, of(e), Options{})
		a := newAsker()
		socket, err := dial(t.Context(), peer.Addr().String(), a, DialOptions{})
		require.NoError(t, err)
		assert.Equal(t, peer.Addr().String(), socket.RemoteAddr().String())
		assert.Equal(t, receive(t, e.accepted).RemoteAddr().String(), socket.LocalAddr().String())
		_, err = socket.Write([]byte("hello"))
		require.NoError(t, err)
		assert.Equal(t, "hello", receive(t, a.got))
		require.NoError(t, socket.Close())
		assert.Equal(t, protocol.ReasonLocalClosed, receive(t, a.closed).Reason)
		assert.Equal(t, protocol.ReasonPeerClosed, receive(t, e.closed).Reason)
	})
}

func TestADialledUnixSocketTalks(t *testing.T) {
	dials(t, func(t *testing.T, dial dialFunc) {
		path := filepath.Join(t.TempDir(), "s")
		peer, err := Listen(newWorld().Root, path, of(newEcho()), Options{Network: "unix"})
		require.NoError(t, err)
		defer peer.Close()
		a := newAsker()
		socket, err := dial(t.Context(), path, a, DialOptions{Network: "unix"})
		require.NoError(t, err)
		assert.Equal(t, path, socket.RemoteAddr().String())
		_, err = socket.Write([]byte("hello"))
		require.NoError(t, err)
		assert.Equal(t, "hello", receive(t, a.got))
	})
}

func TestDialOverTLSReturnsAfterTheHandshake(t *testing.T) {
	dials(t, func(t *testing.T, dial dialFunc) {
		server, client := certified(t)
		peer := newWorld().listen(t, of(newEcho()), Options{TLSConfig: server})
		client.ServerName = "" // it is the address's
		a := newAsker()
		socket, err := dial(t.Context(), peer.Addr().String(), a, DialOptions{TLSConfig: client})
		require.NoError(t, err)
		_, err = socket.Write([]byte("hello"))
		require.NoError(t, err)
		assert.Equal(t, "hello", receive(t, a.got))

		b := newAsker()
		_, err = dial(t.Context(), peer.Addr().String(), b, DialOptions{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}})
		var unknown *tls.CertificateVerificationError
		assert.ErrorAs(t, err, &unknown)
		assert.Empty(t, b.closed, "no handler saw it")
	})
}

// The host of the address is the server's name also where the program verifies the certificate by
// itself: a server of several names needs it.
func TestDialSendsTheHostAsTheServersName(t *testing.T) {
	for _, skip := range []bool{false, true} {
		dials(t, func(t *testing.T, dial dialFunc) {
			server, client := certified(t)
			names := make(chan string, 1)
			server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				names <- hello.ServerName
				return nil, errors.New("no")
			}
			peer := newWorld().listen(t, of(newEcho()), Options{TLSConfig: server})
			_, port, err := net.SplitHostPort(peer.Addr().String())
			require.NoError(t, err)
			client.ServerName, client.InsecureSkipVerify = "", skip
			_, err = dial(t.Context(), net.JoinHostPort("localhost", port), newAsker(), DialOptions{TLSConfig: client})
			require.Error(t, err)
			assert.Equal(t, "localhost", receive(t, names))
			assert.Empty(t, client.ServerName, "it is the caller's own")
		})
	}
}

func TestDialToNothingIsPackageNetsError(t *testing.T) {
	dials(t, func(t *testing.T, dial dialFunc) {
		l, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		require.NoError(t, l.Close())
		_, err = dial(t.Context(), l.Addr().String(), newAsker(), DialOptions{})
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		var op *net.OpError
		require.ErrorAs(t, err, &op)
		assert.Equal(t, "dial", op.Op)

		_, err = dial(t.Context(), "127.0.0.1", newAsker(), DialOptions{})
		assert.ErrorContains(t, err, "missing port")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = dial(ctx, l.Addr().String(), newAsker(), DialOptions{})
		assert.ErrorIs(t, err, context.Canceled)
	})
}

// The context ends, and the connection too, in the moment of success: a dial whose connection a
// handler sees has not failed.
func TestADialThatSucceedsInTheLastMomentSucceeds(t *testing.T) {
	dials(t, func(t *testing.T, dial dialFunc) {
		peer := newWorld().listen(t, of(newEcho()), Options{})
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			a := newAsker()
			a.onOpen = func(s protocol.Socket) error {
				cancel()
				s.Abort()
				return nil
			}
			_, err := dial(ctx, peer.Addr().String(), a, DialOptions{})
			require.NoError(t, err)
			receive(t, a.closed)
		}
	})
}

func TestADialReturnsAfterAcceptedWithItsError(t *testing.T) {
	dials(t, func(t *testing.T, dial dialFunc) {
		peer := newWorld().listen(t, of(newEcho()), Options{})
		refused := errors.New("not this one")
		a := newAsker()
		a.onOpen = func(protocol.Socket) error { return refused } // a Dial that did not wait could not know
		_, err := dial(t.Context(), peer.Addr().String(), a, DialOptions{})
		assert.ErrorIs(t, err, refused)
		a = newAsker()
		a.onOpen = func(protocol.Socket) error { panic(refused) }
		_, err = dial(t.Context(), peer.Addr().String(), a, DialOptions{})
		assert.ErrorIs(t, err, refused)
	})
}

func TestADialWhoseContextEndsWhileAcceptedRunsSucceeds(t *testing.T) {
	dials(t, func(t *testing.T, dial dialFunc) {
		peer := newWorld().listen(t, of(newEcho()), Options{})
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		defer close(release)
		a := newAsker()
		a.onOpen = func(protocol.Socket) error {
			cancel()
			<-release
			return nil
		}
		_, err := dial(ctx, peer.Addr().String(), a, DialOptions{})
		assert.NoError(t, err)
	})
}

// A server that takes the connection and never speaks TLS.
func TestACancelledHandshakeLeavesNothing(t *testing.T) {
	dials(t, func(t *testing.T, dial dialFunc) {
		l, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		defer l.Close()
		ctx, cancel := context.WithCancel(t.Context())
		taken := make(chan net.Conn)
		go func() {
			c, err := l.Accept()
			assert.NoError(t, err)
			cancel()
			taken <- c
		}()
		a := newAsker()
		_, err = dial(ctx, l.Addr().String(), a, DialOptions{TLSConfig: &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS13}})
		assert.ErrorIs(t, err, context.Canceled)
		c := receive(t, taken)
		defer c.Close()
		_ = ends(c)
		assert.Empty(t, a.closed)
	})
}

func TestADialledConnectionHasOptionsOfItsOwn(t *testing.T) {
	dials(t, func(t *testing.T, dial dialFunc) {
		peer := newWorld().listen(t, of(newEcho()), Options{})
		a := newAsker()
		_, err := dial(t.Context(), peer.Addr().String(), a, DialOptions{Connection: &connection.Options{IdleTimeout: 20 * time.Millisecond}})
		require.NoError(t, err)
		assert.Equal(t, protocol.ReasonIdleTimeout, receive(t, a.closed).Reason)
	})
}

func TestTheEndOfADialerEndsADialUnderWay(t *testing.T) {
	overEach(t, func(t *testing.T, options Options) {
		w := newWorld()
		d := w.dialer(t, options)
		silent, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		defer silent.Close()
		failed := make(chan error, 1)
		go func() {
			_, err := d.Dial(context.Background(), silent.Addr().String(), of(newAsker()), DialOptions{TLSConfig: &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS13}})
			failed <- err
		}()
		c, err := silent.Accept()
		require.NoError(t, err)
		defer c.Close()
		_ = d.Close()
		assert.ErrorIs(t, receive(t, failed), ErrClosed)
		_, err = d.Dial(context.Background(), silent.Addr().String(), of(newAsker()), DialOptions{})
		assert.ErrorIs(t, err, ErrClosed)
	})
}

func TestAShutdownDrainsDialledConnections(t *testing.T) {
	t.Parallel() // it mostly waits
	overEach(t, func(t *testing.T, options Options) {
		peer := newWorld().listen(t, of(newEcho()), Options{})
		w := newWorld()
		d := w.dialer(t, options)
		a := newAsker()
		_, err := d.Dial(t.Context(), peer.Addr().String(), of(a), DialOptions{})
		require.NoError(t, err)
		require.NoError(t, d.Shutdown(within(t, patience)))
		assert.Equal(t, protocol.ReasonShutdown, receive(t, a.closed).Reason)
	})
}

func TestAHandlerMayDial(t *testing.T) {
	overEach(t, func(t *testing.T, options Options) {
		w := newWorld()
		peer := newWorld().listen(t, of(newEcho()), Options{})
		inner := newAsker()
		outer := newAsker()
		options.Workers = 1
		made := make(chan *Listener, 1)
		outer.onOpen = func(protocol.Socket) error {
			_, err := (<-made).Dial(context.Background(), peer.Addr().String(), of(inner), DialOptions{})
			return err
		}
		l := w.listen(t, of(outer), options)
		made <- l
		c := dial(t, l)
		_, err := c.Write([]byte("after"))
		require.NoError(t, err)
		assert.Equal(t, "after", receive(t, outer.got))
	})
}

func TestAnAdoptedConnectionIsServed(t *testing.T) {
	overEach(t, func(t *testing.T, options Options) {
		w := newWorld()
		d := w.dialer(t, options)
		peer := newWorld().listen(t, of(newEcho()), Options{})
		for name, open := range map[string]func() net.Conn{
			"socket": func() net.Conn {
				c, err := net.Dial("tcp", peer.Addr().String())
				require.NoError(t, err)
				return c
			},
			"pipe": func() net.Conn {
				here, there := net.Pipe()
				go func() {
					p := make([]byte, 5)
					_, _ = there.Read(p)
					_, _ = there.Write(p)
				}()
				return here
			},
		} {
			t.Run(name, func(t *testing.T) {
				a := newAsker()
				socket, err := d.Adopt(t.Context(), open(), of(a), DialOptions{})
				require.NoError(t, err)
				_, err = socket.Write([]byte("hello"))
				require.NoError(t, err)
				assert.Equal(t, "hello", receive(t, a.got))
				socket.Abort()
				receive(t, a.closed)
			})
		}
	})
}

// The context may be over before the dialer has begun.
// The deadline of the program's own talk with a proxy has passed, or will.
func TestAnAdoptedConnectionHasNoDeadline(t *testing.T) {
	overEach(t, func(t *testing.T, options Options) {
		w := newWorld()
		d := w.dialer(t, options)
		l, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		defer l.Close()
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(-time.Second)))
		peer, err := l.Accept()
		require.NoError(t, err)
		defer peer.Close()
		_, err = d.Adopt(t.Context(), conn, of(newEcho()), DialOptions{})
		require.NoError(t, err)
		_, err = peer.Write([]byte("hello"))
		require.NoError(t, err)
		require.NoError(t, peer.SetDeadline(time.Now().Add(patience)))
		answer := make([]byte, 5)
		_, err = io.ReadFull(peer, answer)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(answer))
	})
}

func TestAnAdoptThatIsCancelledClosesTheConnection(t *testing.T) {
	overEach(t, func(t *testing.T, options Options) {
		w := newWorld()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 50 {
			d, err := NewDialer(w.Root, options)
			require.NoError(t, err)
			here, there := net.Pipe()
			a := newAsker()
			_, err = d.Adopt(ctx, here, of(a), DialOptions{})
			assert.ErrorIs(t, err, context.Canceled)
			assert.NoError(t, ends(there))
			assert.Empty(t, a.closed)
			require.NoError(t, d.Close())
		}
	})
}

func TestBadDialsAreOneSentence(t *testing.T) {
	w := newWorld()
	_, err := NewDialer(w.Root, Options{MaxConnections: 1})
	assert.EqualError(t, err, "berth: MaxConnections is an option of listeners; a dialer has none")
	_, err = NewDialer(w.Root, Options{Workers: -1})
	assert.EqualError(t, err, "berth: Workers -1 must not be negative")
	d := w.dialer(t, Options{})
	ctx := context.Background()
	_, err = d.Dial(ctx, anyPort, nil, DialOptions{})
	assert.ErrorContains(t, err, "no handler")
	_, err = d.Dial(ctx, anyPort, of(newAsker()), DialOptions{Network: "udp"})
	assert.ErrorContains(t, err, `Network "udp" is none of`)
	_, err = d.Dial(ctx, anyPort, of(newAsker()), DialOptions{Connection: &connection.Options{ReadBufferSize: -1}})
	assert.ErrorContains(t, err, "ReadBufferSize")
	_, err = d.Dial(ctx, "", of(newAsker()), DialOptions{Network: "unix"})
	assert.EqualError(t, err, "berth: the address is empty: give the path of the unix socket")
	_, err = d.Dial(ctx, "/"+strings.Repeat("x", 200), of(newAsker()), DialOptions{Network: "unix"})
	assert.ErrorContains(t, err, "has 201 bytes; the most is ")
	for _, none := range []net.Conn{nil, (*net.TCPConn)(nil)} {
		_, err = d.Adopt(ctx, none, of(newAsker()), DialOptions{})
		assert.EqualError(t, err, "berth: no net.Conn to adopt")
	}
	var without context.Context
	_, err = d.Dial(without, anyPort, of(newAsker()), DialOptions{})
	assert.EqualError(t, err, "berth: no context to dial with: it is nil")
	here, there := net.Pipe()
	_, err = d.Adopt(without, here, of(newAsker()), DialOptions{})
	assert.EqualError(t, err, "berth: no context to dial with: it is nil")
	_, err = there.Read(make([]byte, 1))
	assert.Error(t, err, "it is closed")
}

// Every socket that a dialer opens, whatever its end, is closed again.
func TestManyDialsThatFailLeaveNothing(t *testing.T) {
	overEach(t, func(t *testing.T, options Options) {
		w := newWorld()
		d := w.dialer(t, options)
		l, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		defer l.Close()
		go func() {
			for n := 0; ; n++ {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if n%2 == 0 {
					_ = c.(*net.TCPConn).SetLinger(0) // a reset
				}
				_ = c.Close()
			}
		}()
		before := descriptors()
		for n := range 200 {
			a, o := newAsker(), DialOptions{}
			if n%3 == 0 {
				o.TLSConfig = &tls.Config{ServerName: "x", MinVersion: tls.VersionTLS13}
			}
			socket, err := d.Dial(t.Context(), l.Addr().String(), of(a), o)
			if err == nil {
				_ = socket.Close()
				receive(t, a.closed)
			} else {
				assert.NotErrorIs(t, err, context.Canceled)
				assert.Empty(t, a.closed, "no handler saw it")
			}
		}
		require.NoError(t, d.WaitConnections(within(t, patience), func(open int) bool { return open == 0 }))
		eventually(t, func() bool { return descriptors() <= before+1 })
		assert.Zero(t, d.Info().Open)
	})
}

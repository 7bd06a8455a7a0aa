//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

// unsecured returns both ends of a new connection before its TLS handshake. The handshake's
// goroutine is joined at the end of the test.
func (h *harbour) unsecured(config *tls.Config) (*transport.PollTLS, *announced, net.Conn) {
	h.t.Helper()
	p, peer := h.accept()
	var joined sync.WaitGroup
	c, a := transport.NewPollTLS(p, config, &joined), newAnnounced()
	h.t.Cleanup(func() { // before the Poll's own
		_ = c.Close()
		joined.Wait()
	})
	require.False(h.t, c.Open(a))
	return c, a, peer
}

// secure returns both ends of a new connection after its handshake.
func (h *harbour) secure(client *tls.Config) (*transport.PollTLS, *announced, *tls.Conn) {
	h.t.Helper()
	config := certified(h.t)
	config.MinVersion = tls.VersionTLS12
	c, a, peer := h.unsecured(config)
	theirs := tls.Client(peer, client)
	met := make(chan error, 1)
	go func() { met <- theirs.Handshake() }()
	require.NoError(h.t, shakeHands(h.t, c, a.readable, new(transport.Input), 100))
	require.NoError(h.t, receive(h.t, met))
	return c, a, theirs
}

// overPollTLS runs a test with each version of TLS.
func overPollTLS(t *testing.T, options transport.SocketOptions, test func(t *testing.T, c *transport.PollTLS, a *announced, peer *tls.Conn)) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			config := trusting.Clone()
			config.MinVersion, config.MaxVersion = version, version
			c, a, peer := newHarbour(t, "tcp4", "127.0.0.1:0", options).secure(config)
			test(t, c, a, peer)
		})
	}
}

func TestOverPolledTLSEverythingArrivesInBothDirections(t *testing.T) {
	overPollTLS(t, narrow, func(t *testing.T, c *transport.PollTLS, a *announced, peer *tls.Conn) {
		there, back := text(1<<20, 1), text(1<<20, 2)
		go func() {
			for rest, random := there, rand.New(rand.NewPCG(1, 1)); len(rest) > 0; {
				n := min(1+random.IntN(40_000), len(rest))
				_, _ = peer.Write(rest[:n])
				rest = rest[n:]
			}
			_ = peer.CloseWrite()
		}()
		all, wrote := readAll(peer), make(chan struct{})
		go func() {
			defer close(wrote)
			for rest := back; len(rest) > 0; {
				n, err := c.Writev([][]byte{rest[:min(len(rest), 100)], nil, rest[min(len(rest), 100):]})
				rest = rest[n:]
				if err != nil {
					<-a.writable
				}
			}
			for c.CloseWrite() != nil {
				<-a.writable
			}
		}()
		random := rand.New(rand.NewPCG(2, 2))
		got, err := takeAll(t, c, a, func() int { return 1 + random.IntN(20_000) })
		require.Equal(t, io.EOF, err)
		same(t, there, got)
		same(t, back, receive(t, all))
		receive(t, wrote)
	})
}

// What a Writev reports has been taken by the kernel: the peer can read it although the connection
// writes no more.
func TestAPolledTLSWriteCountsOnlyRecordsThatTheKernelTook(t *testing.T) {
	overPollTLS(t, narrow, func(t *testing.T, c *transport.PollTLS, _ *announced, peer *tls.Conn) {
		sent, counted := text(1<<20, 3), 0
		for {
			n, err := c.Writev([][]byte{sent[counted:]})
			counted += n
			if err != nil {
				require.ErrorIs(t, err, transport.ErrAgain)
				break
			}
		}
		require.Positive(t, counted)
		for range 3 { // nothing is encrypted meanwhile
			before, _ := c.Writev([][]byte{sent[counted:]})
			require.Zero(t, before)
		}
		_ = c.Poll.CloseWrite()
		got, _ := io.ReadAll(peer) // an error if a record is cut off
		require.GreaterOrEqual(t, len(got), counted)
		assert.Less(t, len(got)-counted, 16<<10)
		same(t, sent[:len(got)], got)
	})
}

// recording keeps what a client writes.
type recording struct {
	net.Conn
	mu   sync.Mutex
	kept bytes.Buffer
	on   bool
}

func (r *recording) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on {
		return r.kept.Write(p)
	}
	return r.Conn.Write(p)
}

// SetWriteDeadline does nothing. A tls.Conn sets one with its close_notify.
func (r *recording) SetWriteDeadline(time.Time) error { return nil }

// record makes a client keep its records from now on, and returns them.
func (r *recording) record() *bytes.Buffer {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = true
	return &r.kept
}

// recorded returns both ends after the handshake, and what is between the client and its socket.
func (h *harbour) recorded() (*transport.PollTLS, *announced, *tls.Conn, *recording) {
	c, a, peer := h.unsecured(certified(h.t))
	between := &recording{Conn: peer}
	client := tls.Client(between, trusting)
	met := make(chan error, 1)
	go func() { met <- client.Handshake() }()
	require.NoError(h.t, shakeHands(h.t, c, a.readable, new(transport.Input), 100))
	require.NoError(h.t, receive(h.t, met))
	return c, a, client, between
}

func TestAPartOfARecordIsNoInput(t *testing.T) {
	c, a, client, between := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{NoDelay: true}).recorded()
	record := between.record()
	_, _ = client.Write([]byte("hello"))
	all := record.Bytes()
	var in transport.Input
	_, err := c.Fill(&in, 100)
	require.Equal(t, transport.ErrAgain, err, "nothing has come with the handshake")
	before, _ := c.Progress()
	for i, one := range all {
		require.False(t, c.Ready(100))
		_, _ = between.Conn.Write([]byte{one})
		receive(t, a.readable)
		require.True(t, c.Ready(100))
		n, err := c.Fill(&in, 100)
		came, _ := c.Progress()
		require.Equal(t, i+1, int(came-before), "it is progress")
		if i < len(all)-1 {
			require.Zero(t, n)
			require.Equal(t, transport.ErrAgain, err)
			require.Zero(t, in.Held())
			continue
		}
		require.NoError(t, err)
	}
	assert.Equal(t, "hello", string(in.Bytes()))
	in.Release()
}

// Only one event comes.
func TestRecordsThatCameTogetherAreAllReadWithoutAnotherEvent(t *testing.T) {
	c, a, client, between := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{}).recorded()
	_, err := c.Fill(new(transport.Input), 100)
	require.Equal(t, transport.ErrAgain, err)
	record := between.record()
	for range 100 {
		_, _ = client.Write([]byte("ten bytes!"))
	}
	_ = client.CloseWrite()
	_, _ = between.Conn.Write(record.Bytes())
	receive(t, a.readable)
	var got []byte
	for c.Ready(7) {
		var in transport.Input
		n, err := c.Fill(&in, 7)
		if err == io.EOF {
			break
		}
		if err != nil {
			require.Equal(t, transport.ErrAgain, err)
			continue
		}
		assert.LessOrEqual(t, n, 7)
		got = append(got, in.Bytes()...)
		in.Release()
	}
	assert.Equal(t, strings.Repeat("ten bytes!", 100), string(got))
	finished, err := c.EndSeen(false)
	require.NoError(t, err)
	assert.True(t, finished, "close_notify")
}

// A handler that is shown nothing must hear of close_notify, which no event tells.
func TestHoldFindsACloseNotifyAndWhatCameBeforeItIsShownLater(t *testing.T) {
	overPollTLS(t, transport.SocketOptions{}, func(t *testing.T, c *transport.PollTLS, a *announced, peer *tls.Conn) {
		finished := func() bool {
			require.True(t, c.Hold(5000))
			end, err := c.EndSeen(false)
			require.NoError(t, err)
			return end
		}
		_, err := peer.Write(text(3000, 5))
		require.NoError(t, err)
		require.False(t, finished())
		require.NoError(t, peer.CloseWrite())
		for !finished() {
			receive(t, a.readable)
		}
		assert.GreaterOrEqual(t, c.Unread(), 3000)
		assert.True(t, c.Ready(100))
		first, err := take(t, c, a, 2000)
		require.NoError(t, err)
		assert.Len(t, first, 2000)
		second, err := take(t, c, a, 2000)
		require.NoError(t, err)
		same(t, text(3000, 5), append(first, second...))
		_, err = take(t, c, a, 2000)
		require.Equal(t, io.EOF, err)
	})
}

func TestHoldKeepsNoMoreThanItsRoom(t *testing.T) {
	overPollTLS(t, transport.SocketOptions{}, func(t *testing.T, c *transport.PollTLS, a *announced, peer *tls.Conn) {
		go func() { _, _ = peer.Write(text(100_000, 6)); _ = peer.Close() }()
		for c.Unread() < 1000 {
			c.Hold(1000)
		}
		c.Hold(0)
		all, err := takeAll(t, c, a, func() int { return 8192 })
		require.Equal(t, io.EOF, err)
		same(t, text(100_000, 6), all)
	})
}

func TestAFINInTheMiddleOfARecordIsNoOrderlyEnd(t *testing.T) {
	c, a, client, between := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{}).recorded()
	record := between.record()
	_, _ = client.Write([]byte("hello"))
	_, _ = between.Conn.Write(record.Bytes()[:10])
	_ = between.Conn.Close()
	_, err := take(t, c, a, 100)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	finished, err := c.EndSeen(false)
	assert.True(t, finished)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestARecordThatWasForgedEndsTheInput(t *testing.T) {
	c, a, _, between := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{}).recorded()
	_, _ = between.Conn.Write([]byte("\x17\x03\x03\x00\x20" + strings.Repeat("x", 32)))
	_, err := take(t, c, a, 100)
	require.EqualError(t, err, "local error: tls: bad record MAC")
	_, err = c.Fill(new(transport.Input), 100)
	require.EqualError(t, err, "local error: tls: bad record MAC", "and stays")
}

// A close_notify that the socket does not take waits, as every record does.
func TestACloseNotifyWaitsForRoomAndTheFINForIt(t *testing.T) {
	overPollTLS(t, narrow, func(t *testing.T, c *transport.PollTLS, a *announced, peer *tls.Conn) {
		sent := clog(t, c)
		if err := c.CloseWrite(); err == nil {
			t.Skip("the kernel has found room after all")
		}
		require.Equal(t, transport.ErrAgain, c.CloseWrite())
		ended := make(chan error, 1)
		go func() {
			n, err := io.Copy(io.Discard, peer) // up to close_notify
			assert.GreaterOrEqual(t, int(n), sent)
			if err == nil {
				_, err = peer.NetConn().Read(make([]byte, 1))
			}
			ended <- err
		}()
		for err := c.CloseWrite(); err != nil; err = c.CloseWrite() {
			require.Equal(t, transport.ErrAgain, err)
			receive(t, a.writable)
		}
		require.Equal(t, io.EOF, receive(t, ended), "FIN")
		_, err := peer.Write([]byte("still heard"))
		require.NoError(t, err)
		got, err := take(t, c, a, 100)
		require.NoError(t, err)
		assert.Equal(t, "still heard", string(got))
	})
}

// clog writes until the kernel takes nothing more, also a little later, and returns how many bytes
// were reported as written.
func clog(t *testing.T, c *transport.PollTLS) (written int) {
	t.Helper()
	for idle := 0; idle < 1000; idle++ {
		before := sent(c)
		n, err := c.Writev([][]byte{make([]byte, 1000)})
		written += n
		if err == nil || sent(c) > before {
			idle = 0
		} else {
			require.Equal(t, transport.ErrAgain, err)
		}
		runtime.Gosched()
	}
	return written
}

func TestASilentClientCostsNoGoroutine(t *testing.T) {
	h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{})
	config := certified(t)
	before := runtime.NumGoroutine()
	for range 20 {
		c, _, _ := h.unsecured(config)
		require.Equal(t, transport.ErrAgain, c.Handshake(new(transport.Input), 100))
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), before)
}

func TestTheHandshakesGoroutineEndsWithTheHandshake(t *testing.T) {
	h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{})
	p, peer := h.accept()
	var joined sync.WaitGroup
	c, a := transport.NewPollTLS(p, certified(t), &joined), newAnnounced()
	c.Open(a)
	go func() { _ = tls.Client(peer, trusting).Handshake() }()
	require.NoError(t, shakeHands(t, c, a.readable, new(transport.Input), 100))
	joined.Wait()
}

// Each end is tried at a moment when the handshake waits for the client's second flight.
func TestAHandshakeThatIsEndedLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(c *transport.PollTLS, peer net.Conn){
		"Abort": func(c *transport.PollTLS, _ net.Conn) { c.Abort() },
		"Close": func(c *transport.PollTLS, _ net.Conn) { _ = c.Close() },
		"FIN":   func(_ *transport.PollTLS, peer net.Conn) { _ = peer.Close() },
		"reset": func(_ *transport.PollTLS, peer net.Conn) {
			_ = peer.(*net.TCPConn).SetLinger(0)
			_ = peer.Close()
		},
		"garbage": func(_ *transport.PollTLS, peer net.Conn) { _, _ = peer.Write(make([]byte, 100)) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{})
			c, a, peer := h.unsecured(certified(t))
			go func() { _ = tls.Client(&firstFlight{Conn: peer}, trusting).Handshake() }()
			for sent(c) == 0 { // up to the server's first flight
				require.Equal(t, transport.ErrAgain, c.Handshake(new(transport.Input), 100))
				runtime.Gosched()
			}
			end(c, peer)
			require.Error(t, shakeHands(t, c, a.readable, new(transport.Input), 100))
		})
	}
}

// firstFlight lets a client's first Write pass, and no other.
type firstFlight struct {
	net.Conn
	passed bool
}

func (f *firstFlight) Write(p []byte) (int, error) {
	if f.passed {
		return len(p), nil
	}
	f.passed = true
	return f.Conn.Write(p)
}

func sent(c transport.Conn) uint64 {
	_, written := c.Progress()
	return written
}

func TestACallbackThatFailsInAPolledHandshakeEndsThatAlone(t *testing.T) {
	for want, callback := range map[string]func(){
		"handshake panicked: a callback's":              func() { panic("a callback's") },
		"handshake: a callback has ended its goroutine": runtime.Goexit,
		"tls: no certificates configured":               func() {},
	} {
		h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{})
		config := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			callback()
			return &tls.Config{}, nil
		}}
		c, a, peer := h.unsecured(config)
		go func() { _ = tls.Client(peer, trusting).Handshake() }()
		require.ErrorContains(t, shakeHands(t, c, a.readable, new(transport.Input), 100), want)
	}
}

func TestPlainTextToPolledTLSIsAnErrorOfTheHandshake(t *testing.T) {
	h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{})
	c, a, peer := h.unsecured(certified(t))
	_, _ = io.WriteString(peer, "GET / HTTP/1.1\r\n\r\n")
	require.EqualError(t, shakeHands(t, c, a.readable, new(transport.Input), 100), "tls: first record does not look like a TLS handshake")
}

// Bytes that were read before TLS are its beginning, also where they reach behind the handshake.
func TestBytesReadBeforePolledTLSAreItsBeginning(t *testing.T) {
	h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{})
	p, peer := h.accept()
	var joined sync.WaitGroup
	proxied, a := transport.NewProxied(transport.NewPollTLS(p, certified(t), &joined), nil), newAnnounced()
	require.False(t, proxied.Open(a))
	client := tls.Client(&preamble{Conn: peer, text: "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"}, trusting)
	go func() {
		_, _ = client.Write([]byte("hello"))
		_ = client.CloseWrite()
	}()
	var in transport.Input
	require.NoError(t, shakeHands(t, proxied, a.readable, &in, 8192))
	assert.Equal(t, "192.0.2.1:1", proxied.RemoteAddr().String())
	assert.Equal(t, "hello", rest(t, proxied, a.readable, &in))
	assert.NotNil(t, proxied.TLS())
	_ = proxied.Close()
	joined.Wait()
}

// preamble writes a text in one piece with the first bytes.
type preamble struct {
	net.Conn
	text string
}

func (p *preamble) Write(b []byte) (int, error) {
	before := len(p.text)
	n, err := p.Conn.Write(append([]byte(p.text), b...))
	p.text = ""
	return max(0, n-before), err
}

func TestAPolledTLSClientShakesHandsFirst(t *testing.T) {
	h := newHarbour(t, "tcp4", "127.0.0.1:0", transport.SocketOptions{})
	ours, theirs := tcpPair(t)
	defer theirs.Close()
	_ = theirs.SetDeadline(time.Now().Add(patience))
	p, err := transport.Adopt(h.set, ours)
	require.NoError(t, err)
	var joined sync.WaitGroup
	c, a := transport.NewPollTLSClient(p, trusting, &joined), newAnnounced()
	require.False(t, c.Open(a))
	server := tls.Server(theirs, certified(t))
	go func() { _, _ = server.Write([]byte("hello")) }() // behind the session tickets
	require.NoError(t, shakeHands(t, c, a.readable, new(transport.Input), 100))
	got, err := take(t, c, a, 100)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))
	bring(t, c, a, []byte("answer"))
	b := make([]byte, 6)
	_, err = io.ReadFull(server, b)
	require.NoError(t, err)
	assert.Equal(t, "answer", string(b))
	_ = c.Close()
	joined.Wait()
}

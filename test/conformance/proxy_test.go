package conformance

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/simnet"
)

// The PROXY protocol. All other tests run behind a proxy too; those of this file test the proxy's
// header itself.

// header is the header that the proxy of a network sends for every client.
const header = "PROXY TCP4 192.0.2.1 198.51.100.1 5555 443\r\n"

// addressed is a simulated listener with clients that have an address that can be trusted.
type addressed struct{ *simnet.Listener }

func (l addressed) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return addressedConn{c.(*simnet.Conn)}, nil
}

type addressedConn struct{ *simnet.Conn }

func (addressedConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// eachProxied runs test on the networks with a proxy. The test itself acts as the proxy.
func eachProxied(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, n := range networks {
		if n.proxied {
			n.mute = true
			n.each(t, test)
		}
	}
}

// version2 is a header of the binary kind, with n bytes of further fields.
func version2(t *testing.T, n int) string {
	h := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5555}, &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 443})
	if n > 0 {
		require.NoError(t, h.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_MIN_CUSTOM, Value: []byte(pattern(n - 3))}}))
	}
	text, err := h.Format()
	require.NoError(t, err)
	return string(text)
}

// in sends text in pieces that arrive one by one.
func (p *peer) in(pieces ...string) {
	for _, piece := range pieces {
		p.send(piece)
		p.w.settle()
	}
}

func TestWhereverAHeaderIsCutTheBytesBehindItAreTheFirstData(t *testing.T) {
	eachProxied(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, connection.Options{})
		for _, h := range []string{header, version2(t, 8)} {
			whole := h + "hello"
			for cut := 1; cut <= len(whole); cut++ {
				p := s.client()
				p.in(whole[:cut])
				if cut < len(h) {
					require.Empty(t, s.accepted, "%d bytes of %d", cut, len(h))
				}
				p.send(whole[cut:])
				tape := <-s.accepted
				tape.sees("hello")
				if cut < len(h) || cut == len(whole) {
					assert.Equal(t, 1, tape.count("data"), "it came in one piece")
				}
				assert.Equal(t, "192.0.2.1:5555", tape.socket.RemoteAddr().String())
				p.close()
			}
			p := s.client()
			p.in(strings.Split(whole, "")...)
			(<-s.accepted).sees("hello")
		}
	})
}

func TestNoByteBehindAHeaderIsLostOrDoubled(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	eachProxied(t, func(t *testing.T, w *world) {
		random := rand.New(rand.NewPCG(seed, 0))
		for range 30 {
			o := connection.Options{ReadBufferSize: 1 + random.IntN(5000), KeepOpenOnPeerClosed: random.IntN(2) == 0}
			s := w.serve(script{data: echo, peerClosed: func(t *tape) error { return t.socket.Close() }}, o)
			h := header
			if n := random.IntN(3); n > 0 {
				h = version2(t, 3+random.IntN(10_000*n))
			}
			data := pattern(random.IntN(100_000))
			p := s.client()
			answer := make(chan string, 1)
			go func() {
				b, _ := p.all()
				answer <- string(b)
			}()
			for rest := []byte(h + data); len(rest) > 0; {
				n := min(1+random.IntN(1<<random.IntN(18)), len(rest))
				_, err := io.Copy(p.Conn, bytes.NewReader(rest[:n]))
				require.NoError(t, err)
				rest = rest[n:]
			}
			p.closeWrite()
			same(t, data, <-answer)
			closed := (<-s.accepted).ended()
			assert.EqualValues(t, len(data), closed.Stats.Read)
			assert.EqualValues(t, len(data), closed.Stats.Written)
			p.close()
		}
	})
}

// The first bytes arrive before the handler is made. The same rules must hold for them as for
// others.
func TestTheFirstDataWaitsAsAllDataDoes(t *testing.T) {
	eachProxied(t, func(t *testing.T, w *world) {
		paused := w.serve(script{accepted: func(t *tape) error { t.socket.Pause(); return nil }}, connection.Options{})
		pulled := w.serve(script{}, connection.Options{ReadMode: connection.Pull})
		for _, s := range []*server{paused, pulled} {
			p := s.client()
			p.send(header + "hello")
			tape := <-s.accepted
			w.settle()
			assert.Empty(t, tape.seen())
			tape.socket.Resume()
			tape.sees("hello")
			p.close()
		}
		gated := w.serve(script{accepted: func(t *tape) error { t.stall(); return nil }}, roomy())
		p := gated.client()
		p.send(header + "hello")
		tape := <-gated.accepted
		w.settle()
		assert.Empty(t, tape.seen(), "its own writes are pending")
		_ = p.take(stallSize)
		tape.sees("hello")

		small := w.serve(script{}, connection.Options{ReadBufferSize: 3})
		p = small.client()
		p.send(header + "hello world")
		tape = <-small.accepted
		tape.sees("hello world")
		for _, e := range tape.until("data", func([]event) bool { return true }) {
			assert.LessOrEqual(t, len(e.text), 3)
		}
	})
}

func TestAServerThatSpeaksFirstNeedsTheHeaderAlone(t *testing.T) {
	eachProxied(t, func(t *testing.T, w *world) {
		s := w.serve(script{accepted: func(t *tape) error { return t.say("welcome") }}, connection.Options{})
		for _, h := range []string{header, version2(t, 0)} {
			p := s.client()
			p.send(h)
			p.expect("welcome")
			<-s.accepted
			p.close()
		}
	})
}

func TestHeaderDataAndFINInOnePiece(t *testing.T) {
	eachProxied(t, func(t *testing.T, w *world) {
		s := w.serve(script{data: echo}, connection.Options{})
		p := s.client()
		p.send(header + "hello")
		p.closeWrite()
		assert.Equal(t, "hello", p.rest())
		assert.Equal(t, protocol.ReasonPeerClosed, (<-s.accepted).ended().Reason)
		p = s.client()
		p.send(header)
		p.closeWrite()
		assert.Empty(t, p.rest())
		assert.Equal(t, protocol.ReasonPeerClosed, (<-s.accepted).ended().Reason)
	})
}

// ended waits until a listener has no connection, and returns how many of them ended as failed
// handshakes.
func (s *server) failed() uint64 {
	s.w.t.Helper()
	for range 100_000 {
		if info := s.Info(); info.Open == 0 {
			return info.Ended[protocol.ReasonHandshake]
		}
		s.w.yield()
	}
	require.Fail(s.w.t, "connections are open still")
	return 0
}

func TestAnEndWithinAHeaderIsSeenByNoHandler(t *testing.T) {
	eachProxied(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, connection.Options{HandshakeTimeout: -1}) // which would end it too
		for cut := 1; cut < len(header); cut += 7 {
			p := s.client()
			p.send(header[:cut])
			p.closeWrite()
			_, _ = p.all()
			p.close()
			p = s.client()
			p.send(header[:cut])
			p.reset()
		}
		p := s.client()
		p.send("GET / HTTP/1.1\r\n\r\n")
		_, err := p.all()
		assert.Error(t, err, "reset, at once")
		assert.EqualValues(t, 2*((len(header)-1+6)/7)+1, s.failed())
		assert.Empty(t, w.tapes)
	})
}

// inProxiedBubble is inBubble behind a proxy.
func inProxiedBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	n := network{name: "simnet-proxied", family: "sim", resets: true, proxied: true, mute: true}
	n.run(t, func(t *testing.T) { inWorld(t, n, test) })
}

func TestAHeaderThatIsSlowEndsAtTheHandshakeTimeout(t *testing.T) {
	for name, send := range map[string]func(p *peer){
		"silent": func(*peer) {},
		"stalls": func(p *peer) { p.send(header[:len(header)-1]) },
		"byte by byte": func(p *peer) {
			for _, b := range header {
				_, _ = io.WriteString(p.Conn, string(b))
				time.Sleep(time.Second)
			}
		},
		"TLVs without end": func(p *peer) { p.send(version2(p.w.t, 60_000)[:50_000]) },
	} {
		t.Run(name, func(t *testing.T) {
			inProxiedBubble(t, func(t *testing.T, w *world) {
				s := w.serve(script{}, connection.Options{})
				p := s.client()
				start := time.Now()
				go send(p)
				_, _ = p.all()
				within(t, 5*time.Second, time.Since(start))
				time.Sleep(time.Minute)
				assert.EqualValues(t, 1, s.failed())
				assert.Empty(t, w.tapes, "no handler saw it")
			})
		})
	}
}

func TestTheHandshakeTimeoutIsOneForHeaderAndTLS(t *testing.T) {
	inProxiedBubble(t, func(t *testing.T, w *world) {
		config, _ := setup.TLS()
		s := w.listen(script{}, listener.Options{TLSConfig: config})
		p := s.client()
		start := time.Now()
		time.Sleep(4 * time.Second)
		p.send(header + "\x16\x03\x01") // and the beginning of a ClientHello
		_, _ = p.all()
		within(t, 5*time.Second, time.Since(start))
		assert.EqualValues(t, 1, s.failed())
	})
}

func TestAHeaderJustInTimeIsInTime(t *testing.T) {
	inProxiedBubble(t, func(t *testing.T, w *world) {
		s := w.serve(script{data: echo}, connection.Options{IdleTimeout: 3 * time.Second})
		p := s.client()
		for _, b := range header { // 44 bytes, a tenth of a second each
			p.send(string(b))
			time.Sleep(100 * time.Millisecond)
		}
		opened := time.Now()
		<-s.accepted
		time.Sleep(2 * time.Second) // less than an IdleTimeout, which begins now
		p.send("hello")
		p.expect("hello")
		p.rest()
		within(t, 3*time.Second, time.Since(opened)-2*time.Second)
		p.close()
	})
}

func TestWithoutAHandshakeTimeoutAHeaderTakesAsLongAsItTakes(t *testing.T) {
	inProxiedBubble(t, func(t *testing.T, w *world) {
		s := w.serve(script{data: echo}, connection.Options{HandshakeTimeout: -1})
		p := s.client()
		for _, b := range header {
			p.send(string(b))
			time.Sleep(time.Hour)
		}
		p.send("hello")
		p.expect("hello")
		<-s.accepted
		p.close()
	})
}

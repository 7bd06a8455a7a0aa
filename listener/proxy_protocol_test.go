package listener

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// behindProxy are the options of a listener whose proxies are on this machine.
func behindProxy(o Options) Options {
	o.ProxyProtocol = ProxyProtocol{Enabled: true, TrustedProxies: prefixesOf("127.0.0.0/8")}
	return o
}

func prefixesOf(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// dialFor connects as a proxy does for a client, and sends its header.
func dialFor(t *testing.T, l *Listener, header string) net.Conn {
	t.Helper()
	c := dial(t, l)
	_, err := io.WriteString(c, header)
	require.NoError(t, err)
	return c
}

const signature2 = "\r\n\r\n\x00\r\nQUIT\n"

// headerOf is the header of a client.
func headerOf(client string) string { return "PROXY TCP4 " + client + " 198.51.100.1 5555 443\r\n" }

// version2 formats a header for client with further fields.
func version2(t *testing.T, client net.Addr, tlvs ...proxyproto.TLV) string {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(2, client, &net.TCPAddr{IP: net.ParseIP("2001:db8::443"), Port: 443})
	require.NoError(t, h.SetTLVs(tlvs))
	text, err := h.Format()
	require.NoError(t, err)
	return string(text)
}

func TestBehindAProxyTheHandlerSeesTheClientsAddress(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newEcho()
		l := w.listen(t, of(handler), behindProxy(o))
		for _, one := range []struct{ header, remote, local string }{
			{headerOf("192.0.2.1"), "192.0.2.1:5555", "198.51.100.1:443"},
			{version2(t, &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5555}), "[2001:db8::1]:5555", "[2001:db8::443]:443"},
			{"PROXY UNKNOWN\r\n", "", l.Addr().String()},
			{version2(t, nil), "", l.Addr().String()},
			{signature2 + "\x21\x00\x00\x00", "", l.Addr().String()}, // PROXY, UNSPEC
			{signature2 + "\x21\x00\x00\x07\x04\x00\x04noop", "", l.Addr().String()},
			{signature2 + "\x20\xff\x00\x01?", "", l.Addr().String()}, // LOCAL
			{"PROXY UNKNOWN \n?\r\n", "", l.Addr().String()},
		} {
			c := dialFor(t, l, one.header)
			echoes(t, c)
			if one.remote == "" {
				one.remote = c.LocalAddr().String()
			}
			s := receive(t, handler.accepted)
			assert.Equal(t, one.remote, s.RemoteAddr().String())
			assert.Equal(t, one.local, s.LocalAddr().String())
			assert.Equal(t, one.remote, s.Info().RemoteAddr)
			assert.Equal(t, one.local, s.Info().LocalAddr)
			h := s.(protocol.Proxied).ProxyHeader()
			assert.Equal(t, one.header, string(h.Raw))
			assert.Equal(t, c.LocalAddr().String(), h.Proxy.String())
			assert.EqualValues(t, len("hello"), s.Info().Stats.Read, "the header is no input")
			_ = c.Close()
		}
	})
}

func TestAHandlerCanReadWhatElseTheProxySays(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newEcho()
		l := w.listen(t, of(handler), behindProxy(o))
		echoes(t, dialFor(t, l, version2(t, &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5555},
			proxyproto.TLV{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("host.example")},
			proxyproto.TLV{Type: proxyproto.PP2_TYPE_MIN_CUSTOM, Value: []byte(strings.Repeat("x", 60_000))})))
		h := receive(t, handler.accepted).(protocol.Proxied).ProxyHeader()
		assert.Equal(t, 2, h.Version)
		assert.Equal(t, "[2001:db8::1]:5555", h.Source.String())
		assert.Equal(t, "[2001:db8::443]:443", h.Destination.String())
		tlvs, err := proxyproto.SplitTLVs(h.TLVs)
		require.NoError(t, err)
		require.Len(t, tlvs, 2)
		assert.Equal(t, "host.example", string(tlvs[0].Value))
		assert.Len(t, tlvs[1].Value, 60_000)
	})
}

func TestWithoutProxiesThereIsNoHeader(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newEcho()
		l := w.listen(t, of(handler), o)
		c := dialFor(t, l, headerOf("192.0.2.1"))
		p := make([]byte, len(headerOf("192.0.2.1")))
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err := io.ReadFull(c, p)
		require.NoError(t, err)
		assert.Equal(t, headerOf("192.0.2.1"), string(p), "it is data")
		s := receive(t, handler.accepted)
		assert.Equal(t, c.LocalAddr().String(), s.RemoteAddr().String())
		assert.Nil(t, s.(protocol.Proxied).ProxyHeader())
	})
}

func TestAnUntrustedPeerIsClosedAtOnceAndCounted(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newEcho()
		o = behindProxy(o)
		o.MaxConnections = 1
		o.ProxyProtocol.TrustedProxies = prefixesOf("::ffff:127.0.0.1/128", "192.0.2.0/24") // the first is written as IPv6 has it
		l := w.listen(t, of(handler), o)
		liar := dialFrom(t, l, "127.0.0.2")
		_, _ = io.WriteString(liar, headerOf("192.0.2.1")) // the claimed address does not make it a trusted proxy
		_ = ends(liar)
		assert.Equal(t, protocol.RefusalUntrusted, published[*Rejected](w)[0].Reason)
		assert.Equal(t, liar.LocalAddr().String(), published[*Rejected](w)[0].RemoteAddr.String())
		c := dialFor(t, l, headerOf("192.0.2.7"))
		echoes(t, c)
		assert.Len(t, handler.accepted, 1)
		assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalUntrusted: 1}, l.Info().Refused)
	})
}

func TestWithoutAGoodHeaderAConnectionEndsAsAFailedHandshake(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newEcho()
		o.MaxConnections = 1 // each gives its permit to the next
		l := w.listen(t, of(handler), behindProxy(o))
		for _, bad := range []string{
			"GET / HTTP/1.1\r\n\r\n",
			"PROXY TCP4 nowhere 198.51.100.1 5555 443\r\n",
			strings.Replace(headerOf("192.0.2.1"), "\r", "", 1),
			version2(t, nil)[:12] + "\x31\x11\x00\x00",
			headerOf("192.0.2.1")[:20], // and then FIN
		} {
			c := dialFor(t, l, bad)
			_ = c.(*net.TCPConn).CloseWrite()
			_ = ends(c)
		}
		echoes(t, dialFor(t, l, headerOf("192.0.2.1")))
		failures := published[*connection.HandshakeFailed](w)
		require.Len(t, failures, 5)
		for _, failed := range failures {
			assert.Regexp(t, `^berth: bad PROXY header: `, failed.Err.Error())
			assert.Contains(t, failed.RemoteAddr.String(), "127.0.0.1:")
		}
		assert.EqualValues(t, 5, l.Info().Ended[protocol.ReasonHandshake])
		assert.Len(t, handler.accepted, 1)
		assert.Empty(t, l.Info().Refused)
	})
}

func TestAllowAndDenyJudgeTheClientAndNotTheProxy(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newEcho()
		o = behindProxy(o)
		o.MaxConnections = 1
		o.Allow, o.Deny = prefixesOf("192.0.2.0/24", "127.0.0.2/32"), prefixesOf("192.0.2.66/32", "::ffff:c000:0243/128")
		l := w.listen(t, of(handler), o)
		mapped := version2(t, &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.67"), Port: 1})
		for _, refused := range []string{headerOf("192.0.2.66"), headerOf("203.0.113.1"), mapped, "PROXY UNKNOWN\r\n"} {
			_ = ends(dialFor(t, l, refused))
		}
		for _, one := range published[*Rejected](w) {
			assert.Equal(t, protocol.RefusalDenied, one.Reason)
		}
		assert.Equal(t, "192.0.2.66:5555", published[*Rejected](w)[0].RemoteAddr.String())
		allowed := dialFor(t, l, headerOf("192.0.2.1"))
		echoes(t, allowed)
		_ = allowed.Close()
		check := dialFrom(t, l, "127.0.0.2") // a proxy that checks the server is a client itself
		_, _ = io.WriteString(check, version2(t, nil))
		echoes(t, check)
		info := l.Info()
		assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalDenied: 4}, info.Refused)
		assert.EqualValues(t, 4, info.Ended[protocol.ReasonHandshake])
		assert.Len(t, handler.accepted, 2)
		assert.Empty(t, published[*connection.HandshakeFailed](w), "one word of each is enough")
	})
}

func TestTheCapPerAddressCountsClientsAndNotProxies(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newEcho()
		o = behindProxy(o)
		o.MaxConnectionsPerIP = 2
		l := w.listen(t, of(handler), o)
		for range 5 {
			dial(t, l) // no byte yet: no client is known
		}
		var alices []net.Conn
		for range 2 {
			c := dialFor(t, l, headerOf("192.0.2.1"))
			echoes(t, c)
			alices = append(alices, c)
		}
		_ = ends(dialFor(t, l, headerOf("192.0.2.1")))
		echoes(t, dialFor(t, l, headerOf("192.0.2.2")))
		assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalPerIP: 1}, l.Info().Refused)

		_ = alices[0].Close()
		eventually(t, func() bool { return l.Info().Ended[protocol.ReasonPeerClosed] == 1 })
		c := dialFor(t, l, headerOf("192.0.2.1"))
		echoes(t, c)
		for range 2 {
			receive(t, handler.accepted).Detach()
		}
		echoes(t, dialFor(t, l, headerOf("192.0.2.1")))

		require.NoError(t, l.Close())
		assert.Zero(t, l.server.admission.State())
	})
}

func TestTLSBeginsBehindTheHeader(t *testing.T) {
	w, handler := newWorld(), newEcho()
	server, client := certified(t)
	l := w.listen(t, of(handler), behindProxy(Options{TLSConfig: server, Connection: brisk}))
	c := tls.Client(dialFor(t, l, headerOf("192.0.2.1")), client)
	echoes(t, c)
	assert.Equal(t, "192.0.2.1:5555", receive(t, handler.accepted).RemoteAddr().String())
	require.NoError(t, c.CloseWrite())
	require.NoError(t, ends(c))

	bare := tls.Client(dial(t, l), client)
	require.Error(t, bare.Handshake(), "TLS is no header")
	plain := dialFor(t, l, headerOf("192.0.2.1")+"hello")
	_ = ends(plain)
	eventually(t, func() bool { return l.Info().Ended[protocol.ReasonHandshake] == 2 })
	failures := published[*connection.HandshakeFailed](w)
	require.Len(t, failures, 2)
	assert.Contains(t, failures[0].Err.Error(), "PROXY header")
	assert.Contains(t, failures[1].Err.Error(), "tls:")
	assert.Equal(t, "192.0.2.1:5555", failures[1].RemoteAddr.String(), "the header has said who it was")
}

func TestOverAUnixSocketPeersAreTrustedByOption(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newEcho()
		o.Network, o.ProxyProtocol = "unix", ProxyProtocol{Enabled: true, TrustUnix: true}
		o.Deny, o.MaxConnectionsPerIP = prefixesOf("192.0.2.66/32"), 1
		l, err := Listen(w.Root, t.TempDir()+"/s", of(handler), o)
		require.NoError(t, err)
		defer l.Close()
		echoes(t, dialFor(t, l, headerOf("192.0.2.1")))
		assert.Equal(t, "192.0.2.1:5555", receive(t, handler.accepted).RemoteAddr().String())
		_ = ends(dialFor(t, l, headerOf("192.0.2.1")))
		_ = ends(dialFor(t, l, headerOf("192.0.2.66")))
		assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalPerIP: 1, protocol.RefusalDenied: 1}, l.Info().Refused)
	})
}

func TestAListenerWhoseClientsCouldNotBeTrustedIsNotStarted(t *testing.T) {
	w := newWorld()
	before := descriptors()
	_, err := Listen(w.Root, t.TempDir()+"/s", of(&echo{}), behindProxy(Options{Network: "unix"}))
	require.Error(t, err)
	assert.Regexp(t, `^berth: ProxyProtocol on the unix socket .* needs TrustUnix`, err.Error())
	_, err = Listen(w.Root, anyPort, of(&echo{}), Options{ProxyProtocol: ProxyProtocol{Enabled: true, TrustUnix: true}})
	require.Error(t, err)
	assert.Regexp(t, `^berth: ProxyProtocol on 127.0.0.1:\d+ needs TrustedProxies`, err.Error())
	assert.Empty(t, w.actors())
	assert.Equal(t, before, descriptors())
}

func TestAShutdownDuringHeadersLeavesNothing(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newEcho()
		l, err := Listen(w.Root, anyPort, of(handler), behindProxy(o))
		require.NoError(t, err)
		for _, header := range []string{"", "PROXY ", "\r\n\r\n\x00"} {
			dialFor(t, l, header)
		}
		eventually(t, func() bool { return l.Info().Open == 3 })
		_ = l.Shutdown(within(t, 100*time.Millisecond))
		receive(t, l.Done())
		assert.Empty(t, w.actors())
		assert.Empty(t, handler.accepted)
		assert.EqualValues(t, 3, l.Info().Ended[protocol.ReasonShutdown])
		assert.Empty(t, published[*connection.HandshakeFailed](w))
	})
}

func TestHeadersCanBeExpectedFromNowOn(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newEcho()
		l := w.listen(t, of(handler), o)
		before := dial(t, l)
		echoes(t, before)
		proxied := behindProxy(o)
		require.NoError(t, l.SetOptions(proxied))
		proxied.ProxyProtocol.TrustedProxies[0] = prefixesOf("192.0.2.0/24")[0] // the caller's list, not ours
		assert.Equal(t, prefixesOf("127.0.0.0/8"), l.Options().ProxyProtocol.TrustedProxies)
		echoes(t, dialFor(t, l, headerOf("192.0.2.1")))
		echoes(t, before)
		require.EqualError(t, l.SetOptions(Options{Transport: o.Transport, ProxyProtocol: ProxyProtocol{Enabled: true, TrustUnix: true}}),
			"berth: ProxyProtocol on "+l.Addr().String()+" needs TrustedProxies: TrustUnix is for unix sockets")
		echoes(t, dialFor(t, l, headerOf("192.0.2.1")))
		require.NoError(t, l.SetOptions(o))
		echoes(t, dial(t, l))
	})
}

package transport_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

// version2 writes a header of version 2 by hand: the library's own writer would forgive the
// library's own reader.
func version2(command, family byte, addresses, tlvs string) string {
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	length := binary.BigEndian.AppendUint16(nil, uint16(len(addresses)+len(tlvs)))
	return signature + string([]byte{command, family}) + string(length) + addresses + tlvs
}

const (
	local = 0x20 // the commands, with the version
	proxy = 0x21

	unspecified = 0x00 // families and protocols
	tcp4        = 0x11
	udp4        = 0x12
	tcp6        = 0x21
	unixStream  = 0x31
)

// The address blocks of version 2.
var (
	ipv4Block = "\xc0\x00\x02\x01" + "\xc6\x33\x64\x02" + "\x15\xb3" + "\x01\xbb"
	ipv6Block = "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" +
		"\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x02" + "\x15\xb3" + "\x01\xbb"
	unixBlock = padded("/client") + padded("/server")
)

func padded(path string) string { return path + strings.Repeat("\x00", 108-len(path)) }

// tlv is one further field.
func tlv(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

var (
	client4 = &net.TCPAddr{IP: net.IP{192, 0, 2, 1}, Port: 5555}
	server4 = &net.TCPAddr{IP: net.IP{198, 51, 100, 2}, Port: 443}
	client6 = &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5555}
	server6 = &net.TCPAddr{IP: net.ParseIP("2001:db8::2"), Port: 443}
)

// header is a header and its meaning.
type header struct {
	text                string
	version             int
	source, destination net.Addr
	tlvs                string
}

var headers = map[string]header{
	"v1 TCP4":               {"PROXY TCP4 192.0.2.1 198.51.100.2 5555 443\r\n", 1, client4, server4, ""},
	"v1 TCP6":               {"PROXY TCP6 2001:db8::1 2001:db8::2 5555 443\r\n", 1, client6, server6, ""},
	"v1 UNKNOWN":            {"PROXY UNKNOWN\r\n", 1, nil, nil, ""},
	"v1 UNKNOWN, of 107":    {"PROXY UNKNOWN " + strings.Repeat("f", 107-14-2) + "\r\n", 1, nil, nil, ""},
	"v1 UNKNOWN, addresses": {"PROXY UNKNOWN 2001:db8::1 2001:db8::2 5555 443\r\n", 1, nil, nil, ""},
	"v1 UNKNOWN, no space":  {"PROXY UNKNOWN\t?\r\n", 1, nil, nil, ""},
	"v1 UNKNOWN, line ends": {"PROXY UNKNOWN \n \r \n\r\n", 1, nil, nil, ""},
	"v1 TCP6, longest": {"PROXY TCP6 " + longest6 + " " + longest6 + " 65535 65535\r\n", 1,
		&net.TCPAddr{IP: net.ParseIP(longest6), Port: 65535}, &net.TCPAddr{IP: net.ParseIP(longest6), Port: 65535}, ""},
	"v1 TCP6, mapped":       {"PROXY TCP6 ::FFFF:192.0.2.1 ::ffff:198.51.100.2 5555 443\r\n", 1, client4, server4, ""},
	"v1 port 0":             {"PROXY TCP4 192.0.2.1 198.51.100.2 0 443\r\n", 1, &net.TCPAddr{IP: client4.IP}, server4, ""},
	"v2 TCP4":               {version2(proxy, tcp4, ipv4Block, ""), 2, client4, server4, ""},
	"v2 TCP6":               {version2(proxy, tcp6, ipv6Block, ""), 2, client6, server6, ""},
	"v2 UDP4":               {version2(proxy, udp4, ipv4Block, ""), 2, (*net.UDPAddr)(client4), (*net.UDPAddr)(server4), ""},
	"v2 unix":               {version2(proxy, unixStream, unixBlock, ""), 2, unixAddr("/client"), unixAddr("/server"), ""},
	"v2 LOCAL":              {version2(local, unspecified, "", ""), 2, nil, nil, ""},
	"v2 LOCAL of a family":  {version2(local, tcp4, "", ""), 2, nil, nil, ""},
	"v2 LOCAL, some block":  {version2(local, tcp6, "abc", ""), 2, nil, nil, ""},
	"v2 LOCAL, whole block": {version2(local, tcp4, ipv4Block, ""), 2, nil, nil, ""},
	"v2 TCP4 with TLVs":     {version2(proxy, tcp4, ipv4Block, tlv(2, "host.example")+tlv(5, "\x00\n")), 2, client4, server4, tlv(2, "host.example") + tlv(5, "\x00\n")},
	"v2 LOCAL with TLVs":    {version2(local, unspecified, "", tlv(5, "unique")), 2, nil, nil, tlv(5, "unique")},

	// Headers that receivers are free to accept, with the addresses of the socket itself.
	"v2 UNSPEC":             {version2(proxy, unspecified, "", ""), 2, nil, nil, ""},
	"v2 UNSPEC with TLVs":   {version2(proxy, unspecified, "", tlv(5, "unique")), 2, nil, nil, tlv(5, "unique")},
	"v2 UNSPEC, some block": {version2(proxy, unspecified, ipv4Block, ""), 2, nil, nil, ipv4Block},
	"v2 UNSPEC, STREAM":     {version2(proxy, 0x01, ipv4Block, ""), 2, nil, nil, ""},
	"v2 UNSPEC, DGRAM":      {version2(proxy, 0x02, "", ""), 2, nil, nil, ""},
	"v2 IPv4, UNSPEC":       {version2(proxy, 0x10, ipv4Block, tlv(5, "unique")), 2, nil, nil, ""},
	"v2 IPv6, UNSPEC":       {version2(proxy, 0x20, "", ""), 2, nil, nil, ""},
	"v2 unix, UNSPEC":       {version2(proxy, 0x30, "abc", ""), 2, nil, nil, ""},

	// Headers that they must accept.
	"v2 LOCAL of no family":     {version2(local, 0xff, "abc", ""), 2, nil, nil, ""},
	"v2 LOCAL of no protocol":   {version2(local, 0x13, ipv4Block, ""), 2, nil, nil, ""},
	"v2 LOCAL of 5000 bytes":    {version2(local, unixStream, "", tlv(4, strings.Repeat("x", 5000-3))), 2, nil, nil, noop[216:]},
	"v2 UDP6":                   {version2(proxy, 0x22, ipv6Block, ""), 2, (*net.UDPAddr)(client6), (*net.UDPAddr)(server6), ""},
	"v2 unix with TLVs":         {version2(proxy, unixStream, unixBlock, tlv(0xef, "?")), 2, unixAddr("/client"), unixAddr("/server"), tlv(0xef, "?")},
	"v2 unix datagrams":         {version2(proxy, 0x32, unixBlock, ""), 2, &net.UnixAddr{Net: "unixgram", Name: "/client"}, &net.UnixAddr{Net: "unixgram", Name: "/server"}, ""},
	"v2 unix, longest path":     {version2(proxy, unixStream, strings.Repeat("c", 108)+padded(""), ""), 2, unixAddr(strings.Repeat("c", 108)), unixAddr(""), ""},
	"v2 unix, abstract":         {version2(proxy, unixStream, padded("\x00name")+padded(""), ""), 2, unixAddr("@name"), unixAddr(""), ""},
	"v2 TLVs that are none":     {version2(proxy, tcp4, ipv4Block, "\x02\xff\xff?"), 2, client4, server4, "\x02\xff\xff?"},
	"v2 TCP4 in the IPv6 block": {version2(proxy, tcp4, ipv6Block, ""), 2, client6of4, server6of4, ipv6Block[12:]},
}

const longest6 = "fffe:fffe:fffe:fffe:fffe:fffe:fffe:fffe"

var (
	noop       = tlv(4, strings.Repeat("x", 5000-3))
	client6of4 = &net.TCPAddr{IP: net.IP{0x20, 0x01, 0x0d, 0xb8}}
	server6of4 = &net.TCPAddr{IP: net.IP{0, 0, 0, 0}}
)

func unixAddr(path string) net.Addr { return &net.UnixAddr{Net: "unix", Name: path} }

// The longest header of version 2. The library refuses more than 4 KiB, here and in the whole
// program, unless it is set otherwise.
var longest = header{version2(proxy, tcp4, ipv4Block, longTLVs), 2, client4, server4, longTLVs}

var longTLVs = tlv(0xe0, strings.Repeat("x", 65535-len(ipv4Block)-3))

// pieces is a socket on which the client's bytes arrive in pieces. An empty piece is a moment
// without bytes.
type pieces struct {
	transport.Conn
	left []string
	end  error // what comes behind them
}

func (p *pieces) Open(transport.Events) bool                    { return true }
func (p *pieces) Handshake(in *transport.Input, room int) error { return nil }
func (p *pieces) LocalAddr() net.Addr                           { return &net.TCPAddr{IP: net.IP{10, 0, 0, 1}, Port: 1} }
func (p *pieces) RemoteAddr() net.Addr                          { return &net.TCPAddr{IP: net.IP{10, 0, 0, 2}, Port: 2} }

func (p *pieces) Fill(in *transport.Input, room int) (int, error) {
	if len(p.left) == 0 {
		return 0, p.end
	}
	first := p.left[0]
	if first == "" {
		p.left = p.left[1:]
		return 0, transport.ErrAgain
	}
	space := in.Space(room)
	n := copy(space, first)
	in.Filled(n, space)
	if p.left[0] = first[n:]; n == len(first) {
		p.left = p.left[1:]
	}
	return n, nil
}

// negotiation is the result of a handshake.
type negotiation struct {
	header *transport.ProxyHeader
	client net.Addr
	data   string // all the client's bytes behind the header
	ahead  int    // of those, how many were read with it
	most   int    // bytes held at once
	err    error
}

// negotiate lets the handshake read what arrives, with a moment of nothing between any two pieces.
func negotiate(room int, end error, arriving ...string) (n negotiation) {
	socket := &pieces{end: end}
	for _, piece := range arriving {
		socket.left = append(socket.left, piece, "")
	}
	p := transport.NewProxied(socket, func(client net.Addr) error { n.client = client; return nil })
	p.Open(nil)
	var in transport.Input
	defer in.Release()
	for {
		n.err = p.Handshake(&in, room)
		n.most = max(n.most, in.Len())
		if n.err != transport.ErrAgain || len(socket.left) == 0 && end == transport.ErrAgain {
			break
		}
	}
	n.header, n.ahead = p.Header(), in.Len()
	if n.err == nil {
		n.data = string(in.Bytes()) + strings.Join(socket.left, "")
	}
	return n
}

func letters(text string) []string { return strings.Split(text, "") }

func TestAHeaderIsUnderstoodAndTheBytesBehindItAreUntouched(t *testing.T) {
	check := func(t *testing.T, want header, data string, got negotiation) {
		t.Helper()
		require.NoError(t, got.err)
		require.Equal(t, data, got.data)
		h := got.header
		require.Equal(t, want.text, string(h.Raw))
		require.Equal(t, want.version, h.Version)
		require.Equal(t, want.tlvs, string(h.TLVs))
		if want.source == nil {
			require.Nil(t, h.Source)
			require.Nil(t, h.Destination)
			require.Equal(t, "10.0.0.2:2", got.client.String(), "the socket's own")
			return
		}
		for _, addr := range [][2]net.Addr{{want.source, h.Source}, {want.destination, h.Destination}, {want.source, got.client}} {
			require.Equal(t, addr[0].Network(), addr[1].Network())
			require.Equal(t, addr[0].String(), addr[1].String())
		}
	}
	const data = "PROXY \r\n\r\n\x00data that looks like a header\r\n"
	for name, h := range headers {
		t.Run(name, func(t *testing.T) {
			stream := h.text + data
			for _, room := range []int{1, 5, 8192} {
				check(t, h, data, negotiate(room, io.EOF, stream))
				check(t, h, data, negotiate(room, io.EOF, letters(stream)...))
				for cut := 1; cut < len(stream); cut++ {
					got := negotiate(room, io.EOF, stream[:cut], stream[cut:])
					check(t, h, data, got)
					require.LessOrEqual(t, got.ahead, room)
				}
			}
			check(t, h, "", negotiate(100, transport.ErrAgain, h.text))
		})
	}
	t.Run("the longest", func(t *testing.T) {
		check(t, longest, data, negotiate(8192, io.EOF, longest.text+data))
		check(t, longest, data, negotiate(8192, io.EOF, letters(longest.text+data)...))
	})
}

// If the server speaks first, the client sends nothing behind the header. The end of the header
// must be seen at once.
func TestTheHandshakeEndsWithTheLastByteOfTheHeader(t *testing.T) {
	for name, h := range headers {
		for cut := range h.text {
			require.Equal(t, transport.ErrAgain, negotiate(100, transport.ErrAgain, h.text[:cut]).err, "%s, %d bytes", name, cut)
		}
		require.NoError(t, negotiate(100, transport.ErrAgain, h.text).err, name)
	}
}

// bad are bytes that are no header, each with a part of its error.
var bad = map[string]struct {
	text string
	err  error
}{
	"nothing":                    {"", io.ErrUnexpectedEOF},
	"another protocol":           {"GET / HTTP/1.1\r\n\r\n", proxyproto.ErrNoProxyProtocol},
	"TLS":                        {"\x16\x03\x01\x02\x00\x01", proxyproto.ErrNoProxyProtocol},
	"an almost signature":        {"\r\n\r\n\x00\r\nQUID\n", proxyproto.ErrNoProxyProtocol},
	"an almost word":             {"PROXi TCP4", proxyproto.ErrNoProxyProtocol},
	"a longer word":              {"PROXYS TCP4 192.0.2.1 198.51.100.2 5555 443\r\n", proxyproto.ErrCantReadVersion1Header},
	"an unknown family":          {"PROXY TCP5 192.0.2.1 198.51.100.2 5555 443\r\n", proxyproto.ErrCantReadAddressFamilyAndProtocol},
	"no address":                 {"PROXY TCP4 192.0.2.1 nowhere 5555 443\r\n", proxyproto.ErrInvalidAddress},
	"the other family":           {"PROXY TCP4 2001:db8::1 2001:db8::2 5555 443\r\n", proxyproto.ErrInvalidAddress},
	"no port":                    {"PROXY TCP4 192.0.2.1 198.51.100.2 5555 65536\r\n", proxyproto.ErrInvalidPortNumber},
	"a line without CR":          {"PROXY TCP4 192.0.2.1 198.51.100.2 5555 443\n", proxyproto.ErrLineMustEndWithCrlf},
	"a line of 108 bytes":        {"PROXY UNKNOWN " + strings.Repeat("f", 108-14-2) + "\r\n", proxyproto.ErrVersion1HeaderTooLong},
	"a line without end":         {"PROXY TCP4 " + strings.Repeat("1", 1000), proxyproto.ErrVersion1HeaderTooLong},
	"a half line":                {"PROXY TCP4 192.0.2.1", io.ErrUnexpectedEOF},
	"half a v2 header":           {version2(proxy, tcp4, ipv4Block, "")[:20], io.ErrUnexpectedEOF},
	"version 3":                  {version2(0x31, tcp4, ipv4Block, ""), proxyproto.ErrUnsupportedProtocolVersionAndCommand},
	"an unknown command":         {version2(0x22, tcp4, ipv4Block, ""), proxyproto.ErrUnsupportedProtocolVersionAndCommand},
	"an unknown protocol":        {version2(proxy, 0x13, ipv4Block, ""), proxyproto.ErrUnsupportedAddressFamilyAndProtocol},
	"an unknown v2 family":       {version2(proxy, 0x41, ipv4Block, ""), proxyproto.ErrUnsupportedAddressFamilyAndProtocol},
	"no family, a bad protocol":  {version2(proxy, 0x03, "", ""), proxyproto.ErrUnsupportedAddressFamilyAndProtocol},
	"a family, a bad protocol":   {version2(proxy, 0x2f, ipv6Block, ""), proxyproto.ErrUnsupportedAddressFamilyAndProtocol},
	"two spaces":                 {"PROXY  TCP4 192.0.2.1 198.51.100.2 5555 443\r\n", proxyproto.ErrCantReadAddressFamilyAndProtocol},
	"a word too many":            {"PROXY TCP4 192.0.2.1 198.51.100.2 5555 443 \r\n", proxyproto.ErrCantReadAddressFamilyAndProtocol},
	"an UNKNOWN without CR":      {"PROXY UNKNOWN " + strings.Repeat("\n", 200), proxyproto.ErrVersion1HeaderTooLong},
	"a CR alone":                 {"PROXY TCP4 192.0.2.1 198.51.100.2 5555 443\rx" + strings.Repeat("y", 100), proxyproto.ErrVersion1HeaderTooLong},
	"too short a block":          {version2(proxy, tcp4, ipv4Block[1:], ""), proxyproto.ErrInvalidLength},
	"a block for another family": {version2(proxy, tcp6, ipv4Block, ""), proxyproto.ErrInvalidLength},
	"a unix block too few":       {version2(proxy, unixStream, unixBlock[1:], ""), proxyproto.ErrInvalidLength},
}

func TestABadHeaderIsASentenceForEverySplit(t *testing.T) {
	for name, b := range bad {
		t.Run(name, func(t *testing.T) {
			whole := negotiate(100, io.EOF, b.text)
			require.ErrorIs(t, whole.err, b.err)
			assert.True(t, strings.HasPrefix(whole.err.Error(), "berth: bad PROXY header: "), whole.err)
			assert.Nil(t, whole.header)
			assert.Nil(t, whole.client, "no client to admit")
			require.EqualError(t, negotiate(100, io.EOF, letters(b.text)...).err, whole.err.Error())
			for cut := 1; cut < len(b.text); cut++ {
				require.EqualError(t, negotiate(100, io.EOF, b.text[:cut], b.text[cut:]).err, whole.err.Error(), "cut at %d", cut)
			}
		})
	}
}

func TestAnotherProtocolIsNotWaitedFor(t *testing.T) {
	require.ErrorIs(t, negotiate(100, transport.ErrAgain, "G").err, proxyproto.ErrNoProxyProtocol)
	require.ErrorIs(t, negotiate(100, transport.ErrAgain, "PRI * HTTP/2.0\r\n").err, proxyproto.ErrNoProxyProtocol)
	require.ErrorIs(t, negotiate(100, transport.ErrAgain, "\r\n\r\n\r\n").err, proxyproto.ErrNoProxyProtocol)
}

func TestAHeaderWithoutAnEndTakesNoMoreThanAHeader(t *testing.T) {
	const room = 1000
	line := negotiate(room, transport.ErrAgain, strings.Repeat("PROXY TCP4 ", 10000))
	require.Error(t, line.err)
	assert.LessOrEqual(t, line.most, 107+room)
	announced := negotiate(room, transport.ErrAgain, longest.text[:len(longest.text)-1])
	require.Equal(t, transport.ErrAgain, announced.err)
	assert.Less(t, announced.most, 16+65535)
}

func TestAResetWithinTheHeaderIsTheHandshakesError(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	got := negotiate(100, reset, "PROXY TC")
	require.ErrorIs(t, got.err, syscall.ECONNRESET)
}

func TestTheAddressesAreTheSocketsUntilTheHeaderIsKnown(t *testing.T) {
	p := transport.NewProxied(&pieces{left: []string{"PROXY TCP4 192.0.2.1 ", "", "198.51.100.2 5555 443\r\n"}}, nil)
	require.False(t, p.Open(nil))
	var in transport.Input
	require.Equal(t, transport.ErrAgain, p.Handshake(&in, 10))
	assert.Nil(t, p.Header())
	assert.Equal(t, "10.0.0.1:1", p.LocalAddr().String())
	assert.Equal(t, "10.0.0.2:2", p.RemoteAddr().String())
	require.NoError(t, p.Handshake(&in, 10))
	assert.Equal(t, server4.String(), p.LocalAddr().String())
	assert.Equal(t, client4.String(), p.RemoteAddr().String())
	assert.Zero(t, in.Len())
}

func TestAClientThatIsNotAdmittedEndsWithThatError(t *testing.T) {
	asked := 0
	p := transport.NewProxied(&pieces{left: []string{headers["v2 TCP4"].text}}, func(client net.Addr) error {
		asked++
		assert.Equal(t, client4.String(), client.String())
		return transport.ErrRefused
	})
	var in transport.Input
	require.Equal(t, transport.ErrRefused, p.Handshake(&in, 10))
	assert.Equal(t, 1, asked)
}

// later is a socket with a handshake of its own, which takes two attempts.
type later struct {
	pieces
	attempts int
	seen     string
}

func (l *later) Handshake(in *transport.Input, room int) error {
	l.attempts++
	l.seen = string(in.Bytes())
	if l.attempts == 1 {
		return transport.ErrAgain
	}
	in.Keep(in.Len() - 4)
	return nil
}

func TestTheSocketsOwnHandshakeComesBehindTheHeader(t *testing.T) {
	socket := &later{pieces: pieces{left: []string{"PROXY UNKNOWN\r\nhellodata"}}}
	admitted := 0
	p := transport.NewProxied(socket, func(net.Addr) error { admitted++; return nil })
	var in transport.Input
	require.Equal(t, transport.ErrAgain, p.Handshake(&in, 100))
	assert.Equal(t, "hellodata", socket.seen)
	require.NoError(t, p.Handshake(&in, 100))
	assert.Equal(t, "hellodata", socket.seen)
	assert.Equal(t, "odata", string(in.Bytes()))
	assert.Equal(t, 1, admitted)
	in.Release()
}

func TestAHeaderDoesNotChangeWithTheMemoryItWasReadInto(t *testing.T) {
	h := headers["v2 TCP4 with TLVs"]
	p := transport.NewProxied(&pieces{left: []string{h.text + "data"}}, nil)
	var in transport.Input
	require.NoError(t, p.Handshake(&in, 100))
	memory := in.Chunk().Bytes
	copy(memory, bytes.Repeat([]byte{'!'}, len(memory)))
	in.Release()
	assert.Equal(t, h.text, string(p.Header().Raw))
	assert.Equal(t, h.tlvs, string(p.Header().TLVs))
	assert.Equal(t, client4.String(), p.RemoteAddr().String())
}

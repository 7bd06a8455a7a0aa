package transport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"

	"github.com/pires/go-proxyproto"
)

// ProxyHeader is the header of the PROXY protocol, in which a proxy describes its client before the
// client's first byte.
type ProxyHeader struct {
	Version             int      // 1, a line of text, or 2, binary
	Source, Destination net.Addr // the client, and what it connected to; nil where the header names neither
	TLVs                []byte   // version 2's further fields, as they came: the end of Raw
	Raw                 []byte   // the whole header
}

// Sizes of a header, in bytes.
const (
	maxProxyLine   = 107 // version 1 in all
	proxyFixedPart = 16  // version 2 up to the variable part; the last two bytes tell the length of that
)

// proxyHeaderSize returns how long the header is that p begins with: its size if that is no more
// than p has, otherwise the least number of its bytes. An error means that p does not begin with a
// header.
func proxyHeaderSize(p []byte) (int, error) {
	begins := func(signature []byte) bool { return bytes.HasPrefix(signature, p[:min(len(p), len(signature))]) }
	switch {
	case len(p) == 0:
		return 1, nil
	case begins(proxyproto.SIGV2):
		if len(p) < proxyFixedPart {
			return proxyFixedPart, nil
		}
		return proxyFixedPart + int(binary.BigEndian.Uint16(p[proxyFixedPart-2:])), nil
	case begins(proxyproto.SIGV1):
		return proxyLineSize(p)
	}
	return 0, badProxyHeader(proxyproto.ErrNoProxyProtocol)
}

// proxyLineSize is proxyHeaderSize for version 1. A line ends with CRLF. In an UNKNOWN header
// everything before it is ignored, also a line feed by itself.
func proxyLineSize(p []byte) (int, error) {
	p = p[:min(len(p), maxProxyLine)]
	end, feed := bytes.Index(p, crlf), bytes.IndexByte(p, '\n')
	switch known := !bytes.HasPrefix(p, unknownLine); {
	case known && feed >= 0 && end != feed-1:
		return 0, badProxyHeader(proxyproto.ErrLineMustEndWithCrlf)
	case end >= 0:
		return end + len(crlf), nil
	case len(p) == maxProxyLine:
		return 0, badProxyHeader(proxyproto.ErrVersion1HeaderTooLong)
	}
	return len(p) + 1, nil
}

var (
	crlf        = []byte("\r\n")
	unknownLine = []byte("PROXY UNKNOWN")
)

// parseProxyHeader returns the header that raw is, all of it. raw is copied.
func parseProxyHeader(raw []byte) (h *ProxyHeader, err error) {
	h = &ProxyHeader{Version: 1, Raw: bytes.Clone(raw)}
	switch {
	case bytes.HasPrefix(raw, proxyproto.SIGV2):
		h.Version = 2
		err = h.readBinary()
	case !bytes.HasPrefix(raw, unknownLine):
		err = h.readLine()
	}
	if err != nil {
		return nil, badProxyHeader(err)
	}
	return h, nil
}

// readLine reads the addresses of version 1.
func (h *ProxyHeader) readLine() error {
	parsed, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(h.Raw), len(h.Raw)))
	if err == nil {
		h.Source, h.Destination = parsed.SourceAddr, parsed.DestinationAddr
	}
	return err
}

// In version 2 the 13th byte is the version and the command, the 14th the family and the protocol.
const (
	proxyCommand = 12
	proxyFamily  = 13
)

// readBinary reads version 2. The library refuses what receivers are free to accept, an UNSPEC
// family or protocol, and what they must accept, LOCAL of any family.
func (h *ProxyHeader) readBinary() error {
	kind, rest := kindOfAddresses(h.Raw[proxyFamily]), h.Raw[proxyFixedPart:]
	switch proxyproto.ProtocolVersionAndCommand(h.Raw[proxyCommand]) {
	case proxyproto.LOCAL:
		h.TLVs = rest[min(kind.size, len(rest)):]
		return nil
	case proxyproto.PROXY:
	default:
		return proxyproto.ErrUnsupportedProtocolVersionAndCommand
	}
	switch {
	case !kind.defined:
		return proxyproto.ErrUnsupportedAddressFamilyAndProtocol
	case kind.read == nil:
		h.TLVs = rest[min(kind.size, len(rest)):]
	case len(rest) < kind.size:
		return proxyproto.ErrInvalidLength
	default:
		h.Source, h.Destination = kind.read(rest)
		h.TLVs = rest[kind.size:]
	}
	return nil
}

// addressKind is what lies behind the fixed part of version 2.
type addressKind struct {
	defined bool // false: the specification has no such family, or no such protocol
	size    int  // of the addresses, in bytes; the TLVs follow
	read    func(block []byte) (source, destination net.Addr)
}

// everything is the size of addresses whose end is not known. There are no TLVs then.
const everything = 1 << 16

// kindOfAddresses looks at the 14th byte. UNSPEC has no addresses; with a family alone, or a
// protocol alone, it may have some, which are ignored.
func kindOfAddresses(b byte) addressKind {
	family, protocol := b>>4, b&0xf
	const inet6, local = 2, 3
	switch {
	case b == byte(proxyproto.UNSPEC):
		return addressKind{defined: true}
	case family > local || protocol > 2:
		return addressKind{size: everything}
	case family == 0 || protocol == 0:
		return addressKind{defined: true, size: everything}
	case family == local:
		return addressKind{true, 2 * unixPathLen, func(block []byte) (source, destination net.Addr) {
			return unixName(block[:unixPathLen], protocol), unixName(block[unixPathLen:2*unixPathLen], protocol)
		}}
	}
	n := net.IPv4len
	if family == inet6 {
		n = net.IPv6len
	}
	return addressKind{true, 2*n + 2*2, func(block []byte) (source, destination net.Addr) {
		ports := block[2*n:]
		return ipAndPort(block[:n], ports, protocol), ipAndPort(block[n:2*n], ports[2:], protocol)
	}}
}

const (
	unixPathLen = 108
	datagrams   = 2 // as a protocol
)

func ipAndPort(ip, port []byte, protocol byte) net.Addr {
	ip, number := bytes.Clone(ip), int(binary.BigEndian.Uint16(port))
	if protocol == datagrams {
		return &net.UDPAddr{IP: ip, Port: number}
	}
	return &net.TCPAddr{IP: ip, Port: number}
}

// unixName writes a name that is no path as package net does, with @ for its first byte.
func unixName(block []byte, protocol byte) net.Addr {
	addr := &net.UnixAddr{Net: "unix"}
	if protocol == datagrams {
		addr.Net = "unixgram"
	}
	path, rest, _ := bytes.Cut(block, []byte{0})
	if abstract, _, _ := bytes.Cut(rest, []byte{0}); len(path) == 0 && len(abstract) > 0 {
		addr.Name = "@" + string(abstract)
	} else {
		addr.Name = string(path)
	}
	return addr
}

func badProxyHeader(err error) error { return fmt.Errorf("berth: bad PROXY header: %w", err) }

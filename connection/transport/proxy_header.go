package transport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"

	"github.com/pires/go-proxyproto"
)

// ProxyHeader is what a proxy says of its client before the client's first byte, in the PROXY protocol.
type ProxyHeader struct {
	Version             int      // 1, a line of text, or 2, binary
	Source, Destination net.Addr // the client, and what it connected to; nil where the header names neither
	TLVs                []byte   // version 2's further fields, as they came: the end of Raw
	Raw                 []byte   // the whole header
}

// Sizes of a header, in bytes.
const (
	maxProxyLine   = 107 // version 1 in all
	proxyFixedPart = 16  // version 2 up to the part whose length the fixed part's last two bytes tell
)

// proxyHeaderSize returns how long the header is that p begins with: its size if that is no more than p has, otherwise a number of
// bytes that it has at least. An error: it is none.
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
		if end := bytes.IndexByte(p, '\n'); end >= 0 {
			return end + 1, nil
		}
		if len(p) >= maxProxyLine {
			return 0, badProxyHeader(proxyproto.ErrVersion1HeaderTooLong)
		}
		return len(p) + 1, nil
	}
	return 0, badProxyHeader(proxyproto.ErrNoProxyProtocol)
}

// parseProxyHeader returns the header that raw is, all of it. raw is copied.
func parseProxyHeader(raw []byte) (*ProxyHeader, error) {
	short, tlvs := cutTLVs(raw)
	parsed, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(short), len(short)))
	if err != nil {
		return nil, badProxyHeader(err)
	}
	h := &ProxyHeader{Version: int(parsed.Version), Raw: bytes.Clone(raw)}
	h.TLVs = h.Raw[len(raw)-tlvs:]
	if parsed.Command.IsProxy() {
		h.Source, h.Destination = parsed.SourceAddr, parsed.DestinationAddr
	}
	return h, nil
}

// cutTLVs returns the header without the fields behind the addresses, and how many bytes those are. The parser takes at most 4 KiB of them, a
// limit of the whole program's, and would copy them once more.
func cutTLVs(raw []byte) (short []byte, tlvs int) {
	if !bytes.HasPrefix(raw, proxyproto.SIGV2) {
		return raw, 0
	}
	addresses := 0
	switch family := proxyproto.AddressFamilyAndProtocol(raw[proxyFixedPart-3]); {
	case family.IsIPv4():
		addresses = 2*net.IPv4len + 2*2
	case family.IsIPv6():
		addresses = 2*net.IPv6len + 2*2
	case family.IsUnix():
		addresses = 2 * 108
	}
	addresses = min(addresses, len(raw)-proxyFixedPart)
	short = bytes.Clone(raw[:proxyFixedPart+addresses])
	binary.BigEndian.PutUint16(short[proxyFixedPart-2:], uint16(addresses))
	return short, len(raw) - len(short)
}

func badProxyHeader(err error) error { return fmt.Errorf("berth: bad PROXY header: %w", err) }

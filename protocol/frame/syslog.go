package frame

import (
	"iter"
	"math"
	"math/bits"
	"strconv"

	"github.com/go-berth/berth/protocol"
)

// OctetCounted decodes the octet counting of RFC 6587 section 3.4.1, "LEN SP MSG", which RFC 5425
// uses as well. LEN is a decimal number without leading zeros, the payload is MSG. An OctetCounted
// has no state: connections and goroutines may share one. The zero value is ready.
type OctetCounted struct {
	// Max is the most bytes of one frame, LEN and SP included. 0 means DefaultMax.
	Max int
}

// Next implements Decoder. A frame of more than Max bytes is a *TooLongError, with its Length if
// the SP came within Max bytes. A LEN that breaks the grammar or does not fit into 64 bits is a
// *MalformedError.
func (d *OctetCounted) Next(b *protocol.Buffer) ([]byte, error) {
	most, err := limit("OctetCounted", d.Max, shortestCounted)
	if err != nil {
		return nil, err
	}
	return counted(b, most)
}

// Frames consumes the whole frames of b and yields their payloads. It yields an error once, as the
// last.
func (d *OctetCounted) Frames(b *protocol.Buffer) iter.Seq2[[]byte, error] { return frames(d, b) }

// AppendHeader appends to dst the LEN and SP that stand before a payload of n bytes, and returns
// the longer slice. It returns an error, and dst as it was, for an n below 1. Max is not asked.
func (d *OctetCounted) AppendHeader(dst []byte, n int) ([]byte, error) {
	if n < 1 {
		return dst, misuse("OctetCounted: a payload of %d bytes", n)
	}
	return append(strconv.AppendInt(dst, int64(n), 10), ' '), nil
}

// Syslog decodes syslog over TCP in either framing of RFC 6587 section 3.4. A frame that begins
// with a digit is octet counting, see OctetCounted. Any other is non-transparent framing: it ends
// with a trailer, and the payload is what stands before it. The peer may change between the two at
// each frame. Each connection needs a Syslog of its own, because it remembers how far it has
// looked; it is not for use by several goroutines. The zero value is ready. A Delimited decodes
// non-transparent framing alone.
type Syslog struct {
	// Trailer ends a frame in non-transparent framing. Empty means LF; "\x00" and "\r\n" are in use
	// as well.
	Trailer string
	// Max is the most bytes of one frame, with its LEN and SP, or its trailer. 0 means DefaultMax.
	Max int

	search search
}

// Next implements Decoder. A frame of more than Max bytes is a *TooLongError, with its Length if
// that is known. A LEN that breaks the grammar or does not fit into 64 bits is a *MalformedError.
func (d *Syslog) Next(b *protocol.Buffer) ([]byte, error) {
	trailer := d.Trailer
	if trailer == "" {
		trailer = "\n"
	}
	most, err := limit("Syslog", d.Max, max(shortestCounted, len(trailer)))
	if err != nil {
		return nil, err
	}
	if begin := b.Peek(1); len(begin) == 1 && isDigit(begin[0]) {
		return counted(b, most)
	}
	n, err := d.search.find(b, trailer, most)
	if err != nil {
		return nil, err
	}
	return b.Next(n + len(trailer))[:n:n], nil
}

// Frames consumes the whole frames of b and yields their payloads. It yields an error once, as the
// last.
func (d *Syslog) Frames(b *protocol.Buffer) iter.Seq2[[]byte, error] { return frames(d, b) }

// shortestCounted is the length of "1 x".
const shortestCounted = 3

// counted consumes one frame in octet counting.
func counted(b *protocol.Buffer, most int) ([]byte, error) {
	window := b.Peek(most)
	var length uint64
	for i, c := range window {
		switch {
		case c == ' ' && i > 0:
			return message(b, most, length, i+1)
		case !isDigit(c):
			return nil, malformed(b, carriesText, "MSG-LEN has a character that is no digit (RFC 6587 section 3.4.1)")
		case c == '0' && i == 0:
			return nil, malformed(b, carriesText, "MSG-LEN begins with 0 (RFC 6587 section 3.4.1)")
		}
		digit := uint64(c - '0')
		if length > (math.MaxUint64-digit)/10 {
			return nil, malformed(b, carriesText, "MSG-LEN does not fit into 64 bits")
		}
		length = 10*length + digit
	}
	if len(window) == most {
		return nil, tooLong(b, carriesText, most, 0)
	}
	return nil, incomplete(b, b.Len()+1)
}

// message consumes a frame of a header and length bytes.
func message(b *protocol.Buffer, most int, length uint64, header int) ([]byte, error) {
	whole, carry := bits.Add64(length, uint64(header), 0)
	switch {
	case carry != 0:
		return nil, malformed(b, carriesText, "MSG-LEN and its digits together do not fit into 64 bits")
	case whole > uint64(most):
		return nil, tooLong(b, carriesText, most, whole)
	case uint64(b.Len()) < whole:
		return nil, incomplete(b, int(whole))
	}
	return b.Next(int(whole))[header:], nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

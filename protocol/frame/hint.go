package frame

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// opening is how the first bytes of a protocol look.
type opening struct{ bytes, protocol string }

// openings come from RFC 9110 section 9 and RFC 5789 (methods), RFC 9112 section 4 (status line),
// RFC 9113 section 3.4 (preface), RFC 4253 section 4.2 (SSH), and the specification of the PROXY
// protocol.
var openings = []opening{
	{"GET ", "HTTP"}, {"HEAD ", "HTTP"}, {"POST ", "HTTP"}, {"PUT ", "HTTP"}, {"DELETE ", "HTTP"},
	{"CONNECT ", "HTTP"}, {"OPTIONS ", "HTTP"}, {"TRACE ", "HTTP"}, {"PATCH ", "HTTP"}, {"HTTP/1.", "HTTP"},
	{"PRI * HTTP/2.0\r\n", "HTTP/2"},
	{"SSH-", "SSH"},
	{"PROXY ", "the PROXY protocol"}, {"\r\n\r\n\x00\r\nQUIT\n", "the PROXY protocol"},
}

// Fewer bytes than these say nothing.
const (
	leastOpening = 3
	leastText    = 4
)

// hint names the protocol that begins like first, which may be cut short. It is a guess.
func hint(first []byte, c content) string {
	if isTLS(first) {
		return "TLS"
	}
	if len(first) >= leastOpening {
		for _, o := range openings {
			if strings.HasPrefix(o.bytes, string(first)) || bytes.HasPrefix(first, []byte(o.bytes)) {
				return o.protocol
			}
		}
	}
	if c == carriesBinary && isText(first) {
		return "text"
	}
	return ""
}

// isTLS recognises a handshake record: its type is 22, its version 3.0 to 3.4 (RFC 8446 section
// 5.1).
func isTLS(p []byte) bool { return len(p) >= 3 && p[0] == 22 && p[1] == 3 && p[2] <= 4 }

// isText reports whether p is printable UTF-8. A character at the end of p may be cut.
func isText(p []byte) bool {
	if len(p) < leastText {
		return false
	}
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		switch {
		case r == utf8.RuneError && n == 1:
			return !utf8.FullRune(p)
		case !unicode.IsPrint(r) && r != '\r' && r != '\n' && r != '\t':
			return false
		}
		p = p[n:]
	}
	return true
}

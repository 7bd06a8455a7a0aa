package frame_test

import (
	"bufio"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/test/berthtest"
)

const (
	clientHello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	request     = "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
)

// The sentences have to tell what came.
func TestBadInputIsExplained(t *testing.T) {
	binary4 := &frame.LengthPrefixed{Width: 4, Strip: 4}
	for _, c := range []struct {
		name   string
		decode frame.Decoder
		stream string
		is     error
		text   string
	}{
		{"HTTP to a length", binary4, request, frame.ErrTooLong,
			`berth: frame of 1195725860 bytes, the limit is 8192; it begins with "GET / HTTP/1.1\r\nHost: example.or", which looks like HTTP`},
		{"HTTP of which little has come", binary4, "POST", frame.ErrTooLong,
			`berth: frame of 1347375960 bytes, the limit is 8192; it begins with "POST", which looks like HTTP`},
		{"HTTP/2 to a length", binary4, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frame.ErrTooLong,
			`berth: frame of 1347569956 bytes, the limit is 8192; it begins with "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", which looks like HTTP/2`},
		{"TLS to a length", binary4, clientHello, frame.ErrTooLong,
			`berth: frame of 369295622 bytes, the limit is 8192; it begins with "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", which looks like TLS`},
		{"SSH to a length", binary4, "SSH-2.0-OpenSSH_9.9\r\n", frame.ErrTooLong,
			`berth: frame of 1397966897 bytes, the limit is 8192; it begins with "SSH-2.0-OpenSSH_9.9\r\n", which looks like SSH`},
		{"a PROXY header to a length", binary4, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", frame.ErrTooLong,
			`berth: frame of 1347571548 bytes, the limit is 8192; it begins with "PROXY TCP4 192.0.2.1 192.0.2.2 1", which looks like the PROXY protocol`},
		{"text to a length", binary4, "hello\n", frame.ErrTooLong,
			`berth: frame of 1751477360 bytes, the limit is 8192; it begins with "hello\n", which looks like text`},
		{"bytes to a length", binary4, "\x80\x00\x00\x00\x01", frame.ErrTooLong,
			`berth: frame of 2147483652 bytes, the limit is 8192; it begins with "\x80\x00\x00\x00\x01"`},
		{"the largest length", &frame.LengthPrefixed{Width: 8, Adjust: -8}, strings.Repeat("\xff", 8), frame.ErrTooLong,
			`berth: frame of 18446744073709551615 bytes, the limit is 8192; it begins with "\xff\xff\xff\xff\xff\xff\xff\xff"`},
		{"a length beyond 64 bits", &frame.LengthPrefixed{Width: 8, Strip: 8}, strings.Repeat("\xff", 8), frame.ErrMalformed,
			`berth: malformed frame: the length is 18446744073709551615, and with the header it does not fit into 64 bits; it begins with "\xff\xff\xff\xff\xff\xff\xff\xff"`},
		{"a length beyond 64 bits once adjusted", &frame.LengthPrefixed{Width: 8, Adjust: 1}, strings.Repeat("\xff", 8), frame.ErrMalformed,
			`berth: malformed frame: the length is 18446744073709551615, and with the header it does not fit into 64 bits; it begins with "\xff\xff\xff\xff\xff\xff\xff\xff"`},
		{"a negative length", &frame.LengthPrefixed{Width: 2, Adjust: -2}, "\x00\x01", frame.ErrMalformed,
			`berth: malformed frame: the length is 1, and 2 are to be taken from it; it begins with "\x00\x01"`},
		{"a frame that is shorter than what is stripped", &frame.LengthPrefixed{Width: 2, Strip: 4}, "\x00\x01a", frame.ErrMalformed,
			`berth: malformed frame: the length is 1, and the frame is shorter than the 4 bytes to strip; it begins with "\x00\x01a"`},
		{"a long varint", &frame.VarintPrefixed{}, strings.Repeat("\x80", 10), frame.ErrMalformed,
			`berth: malformed frame: the varint is longer than 10 bytes; it begins with "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"`},
		{"a large varint", &frame.VarintPrefixed{}, strings.Repeat("\xff", 9) + "\x02", frame.ErrMalformed,
			`berth: malformed frame: the varint does not fit into 64 bits; it begins with "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"`},
		{"the largest varint", &frame.VarintPrefixed{}, strings.Repeat("\xff", 9) + "\x01", frame.ErrMalformed,
			`berth: malformed frame: the length and its varint together do not fit into 64 bits; it begins with "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"`},
		{"a varint over the limit", &frame.VarintPrefixed{}, "\xff\xff\x03", frame.ErrTooLong,
			`berth: frame of 65538 bytes, the limit is 8192; it begins with "\xff\xff\x03"`},
		{"no varint within the limit", &frame.VarintPrefixed{Max: 2}, "\x81\x81\x01", frame.ErrTooLong,
			`berth: frame longer than 2 bytes; it begins with "\x81\x81\x01"`},
		{"no digit", &frame.OctetCounted{}, "12x<13>", frame.ErrMalformed,
			`berth: malformed frame: MSG-LEN has a character that is no digit (RFC 6587 section 3.4.1); it begins with "12x<13>"`},
		{"no MSG-LEN", &frame.OctetCounted{}, " <13>", frame.ErrMalformed,
			`berth: malformed frame: MSG-LEN has a character that is no digit (RFC 6587 section 3.4.1); it begins with " <13>"`},
		{"a sign", &frame.OctetCounted{}, "-1 a", frame.ErrMalformed,
			`berth: malformed frame: MSG-LEN has a character that is no digit (RFC 6587 section 3.4.1); it begins with "-1 a"`},
		{"a leading zero", &frame.OctetCounted{}, "03 abc", frame.ErrMalformed,
			`berth: malformed frame: MSG-LEN begins with 0 (RFC 6587 section 3.4.1); it begins with "03 abc"`},
		{"a zero", &frame.Syslog{}, "0 ", frame.ErrMalformed,
			`berth: malformed frame: MSG-LEN begins with 0 (RFC 6587 section 3.4.1); it begins with "0 "`},
		{"too many digits", &frame.OctetCounted{}, "18446744073709551616 ", frame.ErrMalformed,
			`berth: malformed frame: MSG-LEN does not fit into 64 bits; it begins with "18446744073709551616 "`},
		{"the largest MSG-LEN", &frame.OctetCounted{}, "18446744073709551615 ", frame.ErrMalformed,
			`berth: malformed frame: MSG-LEN and its digits together do not fit into 64 bits; it begins with "18446744073709551615 "`},
		{"a MSG-LEN over the limit", &frame.Syslog{}, "9000 <13>", frame.ErrTooLong,
			`berth: frame of 9005 bytes, the limit is 8192; it begins with "9000 <13>"`},
		{"digits without end", &frame.OctetCounted{Max: 3}, "1234567", frame.ErrTooLong,
			`berth: frame longer than 3 bytes; it begins with "1234567"`},
		{"TLS to syslog", &frame.OctetCounted{}, clientHello, frame.ErrMalformed,
			`berth: malformed frame: MSG-LEN has a character that is no digit (RFC 6587 section 3.4.1); it begins with "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", which looks like TLS`},
		{"a long line", &frame.Lines{Max: 4}, "hello\n", frame.ErrTooLong,
			`berth: frame longer than 4 bytes; it begins with "hello\n"`},
		{"binary to lines", &frame.Lines{Max: 8}, clientHello, frame.ErrTooLong,
			`berth: frame longer than 8 bytes; it begins with "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", which looks like TLS`},
		{"no delimiter", &frame.Delimited{Delimiter: "--", Max: 6}, "hello--", frame.ErrTooLong,
			`berth: frame longer than 6 bytes; it begins with "hello--"`},
		{"no trailer", &frame.Syslog{Max: 4}, "<13>a\n", frame.ErrTooLong,
			`berth: frame longer than 4 bytes; it begins with "<13>a\n"`},
		{"no token", &frame.Split{Func: bufio.ScanWords, Max: 4}, "hello ", frame.ErrTooLong,
			`berth: frame longer than 4 bytes; it begins with "hello "`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBuffer(c.stream)
			_, err := c.decode.Next(b)
			assert.EqualError(t, err, c.text)
			assert.ErrorIs(t, err, c.is)
			assert.Equal(t, c.stream, string(b.Bytes()), "it stays for other code")
		})
	}
}

func TestAnErrorCarriesItsFiguresAndACopyOfTheFirstBytes(t *testing.T) {
	b := new(berthtest.Buffer)
	_, err := (&frame.LengthPrefixed{Width: 2, Strip: 2, Max: 40}).Next(b.Feed(strings.Repeat("\xff", 50)))
	b.Feed("overwrites the memory")
	var long *frame.TooLongError
	require.ErrorAs(t, err, &long)
	assert.Equal(t, &frame.TooLongError{Limit: 40, Length: 65537, First: []byte(strings.Repeat("\xff", 32))}, long)

	b = new(berthtest.Buffer)
	_, err = (&frame.OctetCounted{}).Next(b.Feed("SSH-2.0-abc\r\n"))
	b.Feed("overwrites the memory")
	var malformed *frame.MalformedError
	require.ErrorAs(t, err, &malformed)
	assert.Equal(t, "SSH-2.0-abc\r\n", string(malformed.First))
	assert.Equal(t, "SSH", malformed.Hint)
	assert.Equal(t, "MSG-LEN has a character that is no digit (RFC 6587 section 3.4.1)", malformed.Problem)
}

func TestAHintIsNoMoreThanTheBytesSay(t *testing.T) {
	for first, want := range map[string]string{
		"":                         "",
		"GE":                       "", // too little
		"GET":                      "HTTP",
		"GETX":                     "text",
		"HTTP/1.1 400 Bad Request": "HTTP",
		"get / ":                   "text",
		"SSH":                      "SSH",
		"\r\n\r\n\x00\r\nQUIT\n!":  "the PROXY protocol",
		"\x16\x03\x04":             "TLS",
		"\x16\x03\x05":             "",
		"\x16\x02\x01":             "",
		"\x17\x03\x01":             "", // application data comes later
		"abc":                      "", // too little
		"abcd":                     "text",
		"a\tb\r\n":                 "text",
		"grüße":                    "text",
		"abcd\xc3":                 "text", // a character of which one byte has come
		"abcd\xff":                 "",
		"abcd\x00":                 "",
		"abcd\x1b[m":               "",
	} {
		_, err := (&frame.LengthPrefixed{Width: 1, Adjust: math.MaxInt32}).Next(newBuffer(first))
		if long, is := errors.AsType[*frame.TooLongError](err); is {
			assert.Equal(t, want, long.Hint, "%q", first)
		} else {
			assert.Empty(t, first)
		}
	}
	_, err := (&frame.Lines{Max: 4}).Next(newBuffer("abcd"))
	var long *frame.TooLongError
	require.ErrorAs(t, err, &long)
	assert.Empty(t, long.Hint, "text is what lines are")
}

func TestAnIncompleteFrameAtTheEndIsAskedFor(t *testing.T) {
	d, b := frame.Lines{}, new(berthtest.Buffer)
	for line, err := range d.Frames(b.Feed("one\ntwo")) {
		require.NoError(t, err)
		require.Equal(t, "one", string(line))
	}
	require.NoError(t, frame.Incomplete(&b.Buffer), "more may come")
	for line, err := range d.Frames(b.End()) {
		t.Errorf("an unfinished line is none: %q, %v", line, err)
	}
	err := frame.Incomplete(&b.Buffer)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.EqualError(t, err, "berth: the stream ended inside a frame, after 3 bytes of it")
	require.Equal(t, "two", string(b.Bytes()), "the bytes stay in the buffer")
	b.Discard(3)
	require.NoError(t, frame.Incomplete(&b.Buffer))
}

func TestADecoderThatIsSetUpWronglySaysSo(t *testing.T) {
	for want, d := range map[string]frame.Decoder{
		"berth: frame.Lines.Max cannot be off (-1): a peer would decide how much memory it takes":          &frame.Lines{Max: -1},
		"berth: frame.Delimited.Delimiter is empty":                                                        &frame.Delimited{},
		"berth: frame.Delimited.Max is 1, and the shortest frame has 2 bytes":                              &frame.Delimited{Delimiter: "--", Max: 1},
		"berth: frame.Fixed.Size is 0, and a frame has at least 1 byte":                                    &frame.Fixed{},
		"berth: frame.LengthPrefixed.Width is 0, and not 1 to 8":                                           &frame.LengthPrefixed{},
		"berth: frame.LengthPrefixed.Width is 9, and not 1 to 8":                                           &frame.LengthPrefixed{Width: 9},
		"berth: frame.LengthPrefixed.Max is 3, and the shortest frame has 4 bytes":                         &frame.LengthPrefixed{Width: 4, Max: 3},
		"berth: frame.LengthPrefixed.Offset is -1, and a frame has at most 8192 bytes":                     &frame.LengthPrefixed{Width: 4, Offset: -1},
		"berth: frame.LengthPrefixed.Offset is 2147483647, and a frame has at most 8192 bytes":             &frame.LengthPrefixed{Width: 4, Offset: math.MaxInt32},
		"berth: frame.LengthPrefixed.Strip is -1, and a frame has at most 8192 bytes":                      &frame.LengthPrefixed{Width: 4, Strip: -1},
		"berth: frame.LengthPrefixed.Strip is 8193, and a frame has at most 8192 bytes":                    &frame.LengthPrefixed{Width: 4, Strip: 8193},
		"berth: frame.VarintPrefixed.Max cannot be off (-5): a peer would decide how much memory it takes": &frame.VarintPrefixed{Max: -5},
		"berth: frame.OctetCounted.Max is 2, and the shortest frame has 3 bytes":                           &frame.OctetCounted{Max: 2},
		"berth: frame.Syslog.Max is 3, and the shortest frame has 4 bytes":                                 &frame.Syslog{Max: 3, Trailer: "\r\n\r\n"},
		"berth: frame.Split.Func is nil":                                                                   &frame.Split{},
		"berth: frame.Split.Max cannot be off (-1): a peer would decide how much memory it takes":          &frame.Split{Func: bufio.ScanWords, Max: -1},
	} {
		_, err := d.Next(newBuffer("a\n"))
		assert.EqualError(t, err, want)
	}
}

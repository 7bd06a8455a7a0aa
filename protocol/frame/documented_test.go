package frame_test

import (
	"bufio"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/test/berthtest"
)

const hello = "HELLO, WORLD"

// documented are the examples by which other systems explain their framing, and their like.
var documented = []struct {
	name   string
	decode frame.Decoder
	stream string
	frames []string
}{
	// Netty, LengthFieldBasedFrameDecoder.
	{"2 bytes at 0, header kept", &frame.LengthPrefixed{Width: 2}, "\x00\x0c" + hello, []string{"\x00\x0c" + hello}},
	{"2 bytes at 0, header stripped", &frame.LengthPrefixed{Width: 2, Strip: 2}, "\x00\x0c" + hello, []string{hello}},
	{"2 bytes at 0 that count themselves", &frame.LengthPrefixed{Width: 2, Adjust: -2}, "\x00\x0e" + hello, []string{"\x00\x0e" + hello}},
	{"3 bytes behind a header of 2", &frame.LengthPrefixed{Offset: 2, Width: 3}, "\xca\xfe\x00\x00\x0c" + hello, []string{"\xca\xfe\x00\x00\x0c" + hello}},
	{"3 bytes before a header of 2", &frame.LengthPrefixed{Width: 3, Adjust: 2}, "\x00\x00\x0c\xca\xfe" + hello, []string{"\x00\x00\x0c\xca\xfe" + hello}},
	{"2 bytes between headers of 1, the first stripped", &frame.LengthPrefixed{Offset: 1, Width: 2, Adjust: 1, Strip: 3}, "\xca\x00\x0c\xfe" + hello, []string{"\xfe" + hello}},
	{"the same, counting the whole", &frame.LengthPrefixed{Offset: 1, Width: 2, Adjust: -3, Strip: 3}, "\xca\x00\x10\xfe" + hello, []string{"\xfe" + hello}},
	// Netty, DelimiterBasedFrameDecoder and FixedLengthFrameDecoder.
	{"lines", &frame.Lines{}, "ABC\nDEF\r\n", []string{"ABC", "DEF"}},
	{"delimiter kept", &frame.Delimited{Delimiter: "\r\n", Keep: true}, "ABC\nDEF\r\n", []string{"ABC\nDEF\r\n"}},
	{"fixed", &frame.Fixed{Size: 3}, "ABCDEFGHI", []string{"ABC", "DEF", "GHI"}},
	// Erlang, inet:setopts/2: {packet, 1 | 2 | 4} strips the header, line keeps the LF.
	{"{packet, 1}", &frame.LengthPrefixed{Width: 1, Strip: 1}, "\x02ab\x00\x01c", []string{"ab", "", "c"}},
	{"{packet, 2}", &frame.LengthPrefixed{Width: 2, Strip: 2}, "\x00\x02ab\x00\x00\x00\x01c", []string{"ab", "", "c"}},
	{"{packet, 4}", &frame.LengthPrefixed{Width: 4, Strip: 4}, "\x00\x00\x00\x02ab\x00\x00\x00\x00", []string{"ab", ""}},
	{"{packet, line}", &frame.Delimited{Delimiter: "\n", Keep: true}, "ab\r\n\nc\n", []string{"ab\r\n", "\n", "c\n"}},
	// Little-endian, as MySQL: 3 bytes, then a sequence number.
	{"3 bytes, little-endian", &frame.LengthPrefixed{Width: 3, LittleEndian: true, Adjust: 1, Strip: 3}, "\x02\x00\x00\x07ab", []string{"\x07ab"}},
	{"8 bytes, little-endian", &frame.LengthPrefixed{Width: 8, LittleEndian: true, Strip: 8}, "\x02\x00\x00\x00\x00\x00\x00\x00ab", []string{"ab"}},
	// protobuf: 150 is 0x96 0x01.
	{"varint", &frame.VarintPrefixed{}, "\x00\x03\x08\x96\x01\x80\x00", []string{"", "\x08\x96\x01", ""}},
	// RFC 6587.
	{"octet counting", &frame.OctetCounted{}, "11 <13>1 hello7 <13>a\nb", []string{"<13>1 hello", "<13>a\nb"}},
	{"non-transparent framing", &frame.Syslog{}, "<13>1 hello\n<13>a\n", []string{"<13>1 hello", "<13>a"}},
	{"both framings", &frame.Syslog{}, "<13>1\n7 <13>a\nb<13>2\n1 x", []string{"<13>1", "<13>a\nb", "<13>2", "x"}},
	{"a trailer of NUL", &frame.Syslog{Trailer: "\x00"}, "<13>a\nb\x00<13>c\x00", []string{"<13>a\nb", "<13>c"}},
	// Lines with odd ends, see Buffer.ReadLine.
	{"empty lines, and a CR of the line", &frame.Lines{}, "\n\r\n\r\r\na\rb\n", []string{"", "", "\r", "a\rb"}},
	{"CR kept", &frame.Lines{KeepCR: true}, "a\r\nb\n", []string{"a\r", "b"}},
	{"the delimiter overlaps itself", &frame.Delimited{Delimiter: "aa"}, "baaacaaaa", []string{"b", "ac", ""}},
	{"words", &frame.Split{Func: bufio.ScanWords}, "  ab c\n", []string{"ab", "c"}},
}

func TestTheDocumentedCases(t *testing.T) {
	for _, c := range documented {
		t.Run(c.name, func(t *testing.T) {
			berthtest.Splits(t, c.stream, func(chunks []string) {
				require.Equal(t, outcome{Frames: c.frames}, decode(t, c.decode, frame.DefaultMax, chunks))
			})
		})
	}
}

func TestAFrameOfMaxBytesIsTakenAndOneOfMoreIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		decode func(most int) frame.Decoder
		stream string // 8 bytes, twice
	}{
		"lines":     {func(most int) frame.Decoder { return &frame.Lines{Max: most} }, "abcdefg\nabcdefg\n"},
		"delimited": {func(most int) frame.Decoder { return &frame.Delimited{Max: most, Delimiter: "--"} }, "abcdef--abcdef--"},
		"length":    {func(most int) frame.Decoder { return &frame.LengthPrefixed{Max: most, Width: 2, Strip: 2} }, "\x00\x06abcdef\x00\x06abcdef"},
		"varint":    {func(most int) frame.Decoder { return &frame.VarintPrefixed{Max: most} }, "\x07abcdefg\x07abcdefg"},
		"counted":   {func(most int) frame.Decoder { return &frame.OctetCounted{Max: most} }, "6 abcdef6 abcdef"},
		"syslog":    {func(most int) frame.Decoder { return &frame.Syslog{Max: most} }, "abcdefg\n6 abcdef"},
		"split":     {func(most int) frame.Decoder { return &frame.Split{Max: most, Func: bufio.ScanLines} }, "abcdefg\nabcdefg\n"},
	} {
		t.Run(name, func(t *testing.T) {
			berthtest.Splits(t, c.stream, func(chunks []string) {
				o := decode(t, c.decode(8), 8, chunks)
				require.Empty(t, o.Problem)
				require.Len(t, o.Frames, 2)
				o = decode(t, c.decode(7), 7, chunks)
				require.Equal(t, "too long", o.Problem)
				require.Empty(t, o.Frames)
				require.Equal(t, c.stream, o.Rest)
			})
		})
	}
}

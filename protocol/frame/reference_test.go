package frame_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/go-berth/berth/protocol/frame"
)

// answer is what a decoder says about the unread bytes.
type answer struct {
	payload  string
	consumed int
	problem  string // "", "incomplete", "too long", "malformed"
	length   uint64 // of a frame that is too long, 0 if it is unknown
}

var incomplete = answer{problem: "incomplete"}

// subject is a decoder beside the simplest thing that it could be: a function of the unread bytes
// that looks at all of them each time.
type subject struct {
	name  string
	make  func() frame.Decoder
	next  func(unread string, eof bool) answer
	max   int
	words []string // streams are made of these
}

func subjects() []subject {
	prefixed := func(d frame.LengthPrefixed, words ...string) subject {
		words = append(words, "\x00", "\x01", "\x02", "\x03", "\x04", "a", "bc")
		return subject{"length", func() frame.Decoder { return &d }, lengthPrefixed(d), d.Max, words}
	}
	return []subject{
		{"lines", func() frame.Decoder { return &frame.Lines{Max: 9} }, ended("\n", 9, "\r"), 9, []string{"a", "bc", "\n", "\r\n", "\r", "\r\r\n", "def"}},
		{"lines with CR", func() frame.Decoder { return &frame.Lines{Max: 9, KeepCR: true} }, ended("\n", 9, ""), 9, []string{"a", "bc", "\n", "\r\n", "\r"}},
		{"NUL", func() frame.Decoder { return &frame.Delimited{Max: 5, Delimiter: "\x00"} }, ended("\x00", 5, ""), 5, []string{"a", "bc", "\x00"}},
		{"three bytes", func() frame.Decoder { return &frame.Delimited{Max: 12, Delimiter: "aab"} }, ended("aab", 12, ""), 12, []string{"a", "b", "aa", "aab", "c"}},
		{"kept", func() frame.Decoder { return &frame.Delimited{Max: 12, Delimiter: "--", Keep: true} }, kept(ended("--", 12, ""), "--"), 12, []string{"-", "b", "--", "aa"}},
		{"fixed", func() frame.Decoder { return &frame.Fixed{Size: 3} }, fixed(3), 3, []string{"a", "bc", "defg"}},
		prefixed(frame.LengthPrefixed{Width: 1, Strip: 1, Max: 5}),
		prefixed(frame.LengthPrefixed{Width: 2, Strip: 2, Max: 9}, "\x00\x02"),
		prefixed(frame.LengthPrefixed{Width: 2, LittleEndian: true, Adjust: -2, Max: 9}, "\x04\x00"),
		prefixed(frame.LengthPrefixed{Offset: 1, Width: 3, Adjust: 1, Strip: 2, Max: 9}, "a\x00\x00\x01"),
		prefixed(frame.LengthPrefixed{Width: 1, Adjust: -1, Strip: 3, Max: 9}),
		prefixed(frame.LengthPrefixed{Width: 8, Strip: 8, Max: 12}, "\xff\xff\xff\xff\xff\xff\xff", "\x00\x00\x00\x00\x00\x00\x00"),
		{"varint", func() frame.Decoder { return &frame.VarintPrefixed{Max: 200} }, varintPrefixed(200), 200, []string{"\x00", "\x01", "\x03", "a", "\x80\x01", "\xff\xff\xff\xff", "\x82\x00", strings.Repeat("b", 128)}},
		{"varint, tiny", func() frame.Decoder { return &frame.VarintPrefixed{Max: 4} }, varintPrefixed(4), 4, []string{"\x00", "\x01", "\x03", "\x04", "a", "\x80", "\x82\x00"}},
		{"counted", func() frame.Decoder { return &frame.OctetCounted{Max: 20} }, octetCounted(20), 20, []string{"1 ", "2 ", "10 ", "3", "0", " ", "a", "18446744073709551615 ", "18446744073709551616"}},
		{"counted, longer", func() frame.Decoder { return &frame.OctetCounted{Max: 40} }, octetCounted(40), 40, []string{"1 ", "2 ", "10 ", "3", "0", " ", "a", "18446744073709551615 ", "18446744073709551590 ", "18446744073709551616"}},
		{"syslog", func() frame.Decoder { return &frame.Syslog{Max: 20} }, syslog("\n", 20), 20, []string{"1 ", "2 ", "10 ", "3", "<13>a", "\n", "\n\n", "a", "<"}},
		{"syslog, CRLF", func() frame.Decoder { return &frame.Syslog{Max: 20, Trailer: "\r\n"} }, syslog("\r\n", 20), 20, []string{"1 ", "2 ", "<13>a", "\n", "\r", "\r\n", "a", "<"}},
		{"words", func() frame.Decoder { return &frame.Split{Max: 8, Func: bufio.ScanWords} }, nil, 8, []string{"a", "bc", " ", "\n"}},
		{"runes", func() frame.Decoder { return &frame.Split{Max: 8, Func: bufio.ScanRunes} }, nil, 8, []string{"a", "é", "\xe2\x82", "\xac"}},
		{"lines of bufio", func() frame.Decoder { return &frame.Split{Max: 8, Func: bufio.ScanLines} }, nil, 8, []string{"a", "bc", "\n", "\r\n", "\r"}},
	}
}

// ended is a frame that ends with delimiter, from whose end one optional is cut.
func ended(delimiter string, most int, optional string) func(string, bool) answer {
	return func(unread string, _ bool) answer {
		payload, _, found := strings.Cut(unread, delimiter)
		switch whole := len(payload) + len(delimiter); {
		case found && whole <= most:
			return answer{payload: strings.TrimSuffix(payload, optional), consumed: whole}
		case len(unread) >= most:
			return answer{problem: "too long"}
		}
		return incomplete
	}
}

func kept(next func(string, bool) answer, delimiter string) func(string, bool) answer {
	return func(unread string, eof bool) answer {
		a := next(unread, eof)
		if a.problem == "" {
			a.payload += delimiter
		}
		return a
	}
}

func fixed(size int) func(string, bool) answer {
	return func(unread string, _ bool) answer {
		if len(unread) < size {
			return incomplete
		}
		return answer{payload: unread[:size], consumed: size}
	}
}

// prefixed judges a frame of a header and so many bytes behind it, in numbers of any size.
func prefixed(unread string, header, most int, behind *big.Int, strip int) answer {
	whole := new(big.Int).Add(behind, big.NewInt(int64(header)))
	switch {
	case behind.Sign() < 0, whole.BitLen() > 64, whole.Cmp(big.NewInt(int64(strip))) < 0:
		return answer{problem: "malformed"}
	case whole.Cmp(big.NewInt(int64(most))) > 0:
		return answer{problem: "too long", length: whole.Uint64()}
	}
	n := int(whole.Int64())
	if len(unread) < n {
		return incomplete
	}
	return answer{payload: unread[strip:n], consumed: n}
}

func lengthPrefixed(d frame.LengthPrefixed) func(string, bool) answer {
	return func(unread string, _ bool) answer {
		header := d.Offset + d.Width
		if len(unread) < header {
			return incomplete
		}
		field := []byte(unread[d.Offset:header])
		if d.LittleEndian {
			slices.Reverse(field)
		}
		behind := new(big.Int).SetBytes(field)
		return prefixed(unread, header, d.Max, behind.Add(behind, big.NewInt(int64(d.Adjust))), d.Strip)
	}
}

func varintPrefixed(most int) func(string, bool) answer {
	return func(unread string, _ bool) answer {
		window := unread[:min(len(unread), most)]
		reader := strings.NewReader(window)
		length, err := binary.ReadUvarint(reader)
		switch {
		case err == nil:
			return prefixed(unread, len(window)-reader.Len(), most, new(big.Int).SetUint64(length), len(window)-reader.Len())
		case err != io.EOF && err != io.ErrUnexpectedEOF, len(window) >= 10:
			return answer{problem: "malformed"}
		case len(window) == most:
			return answer{problem: "too long"}
		}
		return incomplete
	}
}

var (
	lenSP    = regexp.MustCompile(`^([1-9]\d*) `)
	begins   = regexp.MustCompile(`^\d`)
	lenBegun = regexp.MustCompile(`^([1-9]\d*)?$`)
)

func octetCounted(most int) func(string, bool) answer {
	return func(unread string, _ bool) answer {
		window := unread[:min(len(unread), most)]
		digits, _ := new(big.Int).SetString(regexp.MustCompile(`^\d*`).FindString("0"+window), 10)
		switch m := lenSP.FindString(window); {
		case digits.BitLen() > 64:
			return answer{problem: "malformed"}
		case m != "":
			return prefixed(unread, len(m), most, digits, len(m))
		case !lenBegun.MatchString(window):
			return answer{problem: "malformed"}
		case len(window) == most:
			return answer{problem: "too long"}
		}
		return incomplete
	}
}

func syslog(trailer string, most int) func(string, bool) answer {
	counted, trailed := octetCounted(most), ended(trailer, most, "")
	return func(unread string, eof bool) answer {
		if begins.MatchString(unread) {
			return counted(unread, eof)
		}
		return trailed(unread, eof)
	}
}

// problemOf names an error as the references do.
func problemOf(err error) (problem string, length uint64) {
	var long *frame.TooLongError
	switch {
	case err == nil:
		return "", 0
	case err == frame.ErrIncomplete:
		return "incomplete", 0
	case errors.As(err, &long):
		return "too long", long.Length
	case errors.Is(err, frame.ErrMalformed):
		return "malformed", 0
	}
	return err.Error(), 0
}

// scanned returns what a bufio.Scanner finds in a stream. A token takes less than most bytes.
func scanned(stream string, split bufio.SplitFunc, most int) (tokens []string, err error) {
	s := bufio.NewScanner(bytes.NewReader([]byte(stream)))
	s.Buffer(nil, most)
	s.Split(split)
	for s.Scan() {
		tokens = append(tokens, s.Text())
	}
	return tokens, s.Err()
}

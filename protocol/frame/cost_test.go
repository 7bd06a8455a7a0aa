package frame_test

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/test/berthtest"
)

const (
	payload64 = "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"
	boundary  = "--longer than what the runtime keeps on a stack--"
)

var (
	lines     = &frame.Lines{}
	delimited = &frame.Delimited{Delimiter: boundary}
	fixed64   = &frame.Fixed{Size: 64}
	length32  = &frame.LengthPrefixed{Width: 4, Strip: 4}
	varints   = &frame.VarintPrefixed{}
	octets    = &frame.OctetCounted{}
	logs      = &frame.Syslog{}
	splits    = &frame.Split{Func: bufio.ScanLines}
)

// costs are frames with a payload of 64 bytes. The loops are written out as in a handler: called
// through an interface, Frames would cost an allocation.
var costs = []struct {
	name   string
	decode frame.Decoder
	stream string
	loop   func(b *protocol.Buffer, count func([]byte, error))
}{
	{"Lines", lines, payload64 + "\r\n", func(b *protocol.Buffer, count func([]byte, error)) {
		for payload, err := range lines.Frames(b) {
			count(payload, err)
		}
	}},
	{"Delimited", delimited, payload64 + boundary, func(b *protocol.Buffer, count func([]byte, error)) {
		for payload, err := range delimited.Frames(b) {
			count(payload, err)
		}
	}},
	{"Fixed", fixed64, payload64, func(b *protocol.Buffer, count func([]byte, error)) {
		for payload, err := range fixed64.Frames(b) {
			count(payload, err)
		}
	}},
	{"LengthPrefixed", length32, "\x00\x00\x00\x40" + payload64, func(b *protocol.Buffer, count func([]byte, error)) {
		for payload, err := range length32.Frames(b) {
			count(payload, err)
		}
	}},
	{"VarintPrefixed", varints, "\x40" + payload64, func(b *protocol.Buffer, count func([]byte, error)) {
		for payload, err := range varints.Frames(b) {
			count(payload, err)
		}
	}},
	{"OctetCounted", octets, "64 " + payload64, func(b *protocol.Buffer, count func([]byte, error)) {
		for payload, err := range octets.Frames(b) {
			count(payload, err)
		}
	}},
	{"Syslog", logs, payload64 + "\n", func(b *protocol.Buffer, count func([]byte, error)) {
		for payload, err := range logs.Frames(b) {
			count(payload, err)
		}
	}},
	{"Split", splits, payload64 + "\n", func(b *protocol.Buffer, count func([]byte, error)) {
		for payload, err := range splits.Frames(b) {
			count(payload, err)
		}
	}},
}

func TestAFrameCostsNoAllocationAndNoCopy(t *testing.T) {
	for _, c := range costs {
		t.Run(c.name, func(t *testing.T) {
			memory := []byte(strings.Repeat(c.stream, 20) + c.stream[:len(c.stream)-1])
			b, frames := protocol.NewBuffer(nil), 0
			count := func(payload []byte, err error) {
				if err == nil && len(payload) == 64 {
					frames++
				}
			}
			assert.Zero(t, testing.AllocsPerRun(100, func() {
				(*protocol.Source)(b).Attach(memory, nil, false)
				c.loop(b, count)
			}), "Frames")
			assert.Zero(t, testing.AllocsPerRun(100, func() {
				(*protocol.Source)(b).Attach(memory, nil, false)
				for {
					if _, err := c.decode.Next(b); err != nil {
						break
					}
					frames++
				}
			}), "Next")
			assert.Equal(t, 2*101*20, frames)

			(*protocol.Source)(b).Attach(memory, nil, false)
			payload, err := c.decode.Next(b)
			require.NoError(t, err)
			at := bytes.IndexByte(memory, 'a')
			assert.Same(t, &memory[at], &payload[0])
		})
	}
}

func TestADelimiterIsLookedForOnceInEveryByte(t *testing.T) {
	const size, piece = 1 << 20, 8 << 10
	for _, delimiter := range []string{"\n", "\r\n.\r\n"} {
		d := frame.Delimited{Delimiter: delimiter, Max: size}
		b, looked, stream := new(berthtest.Buffer), 0, strings.Repeat("a", size-len(delimiter))+delimiter
		for at := 0; at < size; at += piece {
			data := b.Feed(stream[at : at+piece])
			looked += d.Looks(data)
			payload, err := d.Next(data)
			if at+piece < size {
				require.Equal(t, frame.ErrIncomplete, err)
			} else {
				require.NoError(t, err)
				require.Len(t, payload, size-len(delimiter))
			}
		}
		// The beginning of a delimiter may be at the end of each piece.
		assert.Equal(t, size+(size/piece-1)*(len(delimiter)-1), looked, "%q", delimiter)
	}
}

// What a peer sends without ever ending a frame is an error at the latest when the decoder's Max is
// there, so a read buffer of Max holds it.
func TestAFrameThatNeverEndsMeetsTheLimit(t *testing.T) {
	const most = 1000
	for name, c := range map[string]struct {
		decode      frame.Decoder
		begin, more string
		within      int // so many bytes the error comes
	}{
		"lines":        {&frame.Lines{Max: most}, "", "a", most},
		"lines of CR":  {&frame.Lines{Max: most}, "", "\r", most},
		"delimited":    {&frame.Delimited{Max: most, Delimiter: "--"}, "", "-a", most},
		"length":       {&frame.LengthPrefixed{Max: most, Width: 8}, "", "\x7f", 8},
		"varint":       {&frame.VarintPrefixed{Max: most}, "", "\x80", 10},
		"digits":       {&frame.OctetCounted{Max: most}, "", "9", 20},
		"syslog":       {&frame.Syslog{Max: most}, "<", "a", most},
		"split, skips": {&frame.Split{Max: most, Func: bufio.ScanWords}, "", "a", most},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(berthtest.Buffer)
			data := b.Feed(c.begin)
			for {
				_, err := c.decode.Next(data)
				if err != frame.ErrIncomplete {
					require.True(t, errors.Is(err, frame.ErrTooLong) || errors.Is(err, frame.ErrMalformed), err)
					require.LessOrEqual(t, data.Len(), c.within)
					return
				}
				require.Less(t, data.Len(), most)
				data = b.Feed(c.more[:1])
				c.more = c.more[1:] + c.more[:1]
			}
		})
	}
}

func BenchmarkFrames(b *testing.B) {
	for _, c := range costs {
		b.Run(c.name, func(b *testing.B) {
			memory := []byte(strings.Repeat(c.stream, 100))
			b.SetBytes(int64(len(memory)))
			b.ReportAllocs()
			data, frames := protocol.NewBuffer(nil), 0
			count := func([]byte, error) { frames++ }
			for b.Loop() {
				(*protocol.Source)(data).Attach(memory, nil, false)
				frames = 0
				c.loop(data, count)
				if frames != 100 {
					b.Fatal(frames, " frames")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/frame")
		})
	}
}

// BenchmarkPieces decodes a frame of 1 MiB that comes in pieces of 8 KiB.
func BenchmarkPieces(b *testing.B) {
	const size, piece = 1 << 20, 8 << 10
	memory := append(bytes.Repeat([]byte("a"), size-1), '\n')
	lines := frame.Lines{Max: size}
	data := protocol.NewBuffer(nil)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for n := piece; n <= size; n += piece {
			(*protocol.Source)(data).Attach(memory[:n], nil, false)
			if _, err := lines.Next(data); (err == nil) != (n == size) {
				b.Fatal(err)
			}
		}
	}
}

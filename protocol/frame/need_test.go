package frame_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
)

func TestAnIncompleteFrameAsksForTheBytesThatItHas(t *testing.T) {
	for name, c := range map[string]struct {
		decoder frame.Decoder
		unread  string
		need    int
	}{
		"fixed":                 {&frame.Fixed{Size: 9}, "abc", 9},
		"length, no header":     {&frame.LengthPrefixed{Offset: 1, Width: 4}, "abc", 5},
		"length":                {&frame.LengthPrefixed{Width: 2, Max: 1000}, "\x01\x00abc", 258},
		"length, adjusted":      {&frame.LengthPrefixed{Width: 2, Adjust: -2, Max: 1000}, "\x01\x00abc", 256},
		"varint, no end":        {&frame.VarintPrefixed{}, "\x80", 2},
		"varint":                {&frame.VarintPrefixed{}, "\x80\x02abc", 258},
		"octets, no end":        {&frame.OctetCounted{}, "12", 3},
		"octets":                {&frame.OctetCounted{}, "12 abc", 15},
		"syslog, octets":        {&frame.Syslog{}, "12 abc", 15},
		"syslog, trailer":       {&frame.Syslog{}, "<13>abc", 8},
		"lines":                 {&frame.Lines{}, "abc", 4},
		"nothing of a line yet": {&frame.Lines{}, "", 1},
		"delimited":             {&frame.Delimited{Delimiter: "\r\n.\r\n"}, "abc\r\n", 6},
		"split":                 {&frame.Split{Func: bytesInFours}, "abc", 4},
	} {
		b := protocol.NewBuffer([]byte(c.unread))
		_, err := c.decoder.Next(b)
		require.Equal(t, frame.ErrIncomplete, err, name)
		assert.Equal(t, c.need, b.Needed(), name)

		(*protocol.Source)(b).Bound(c.need)
		_, err = c.decoder.Next(b)
		require.Equal(t, frame.ErrIncomplete, err, name)
		(*protocol.Source)(b).Bound(max(c.need-1, len(c.unread)))
		_, err = c.decoder.Next(b)
		if c.need > max(1, len(c.unread)) {
			require.ErrorContains(t, err, "MaxReadBufferSize", name)
		}
	}
}

func bytesInFours(p []byte, _ bool) (int, []byte, error) {
	if len(p) < 4 {
		return 0, nil, nil
	}
	return 4, p[:4], nil
}

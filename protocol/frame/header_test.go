package frame_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/protocol/frame"
)

func TestAHeaderIsWhatItsDecoderReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		payload := string(rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "payload"))
		prefixed := &frame.LengthPrefixed{
			Width: rapid.IntRange(2, 8).Draw(t, "width"), LittleEndian: rapid.Bool().Draw(t, "little"), Adjust: rapid.IntRange(-9, 1).Draw(t, "adjust"),
		}
		prefixed.Strip = prefixed.Width
		for _, codec := range []interface {
			frame.Decoder
			AppendHeader([]byte, int) ([]byte, error)
		}{prefixed, &frame.VarintPrefixed{}, &frame.OctetCounted{}} {
			stream, err := codec.AppendHeader([]byte("before"), len(payload))
			require.NoError(t, err)
			b := newBuffer(string(stream) + payload + "behind")
			require.Equal(t, "before", string(b.Next(6)))
			got, err := codec.Next(b)
			require.NoError(t, err)
			require.Equal(t, payload, string(got))
			require.Equal(t, "behind", string(b.Bytes()))
		}
	})
}

func TestHeadersByteForByte(t *testing.T) {
	for want, d := range map[string]*frame.LengthPrefixed{
		"\x03":                             {Width: 1},
		"\x00\x03":                         {Width: 2},
		"\x03\x00\x00":                     {Width: 3, LittleEndian: true},
		"\x00\x00\x00\x07":                 {Width: 4, Adjust: -4},
		"\x00\x00\x00\x00\x00\x00\x00\x02": {Width: 8, Adjust: 1},
	} {
		got, err := d.AppendHeader(nil, 3)
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
	got, err := (&frame.VarintPrefixed{}).AppendHeader(nil, 150)
	require.NoError(t, err)
	assert.Equal(t, "\x96\x01", string(got))
	got, err = (&frame.OctetCounted{}).AppendHeader(nil, 150)
	require.NoError(t, err)
	assert.Equal(t, "150 ", string(got))
}

func TestALengthThatDoesNotFitIsNotWritten(t *testing.T) {
	for _, c := range []struct {
		codec interface {
			AppendHeader([]byte, int) ([]byte, error)
		}
		n    int
		text string
	}{
		{&frame.LengthPrefixed{Width: 1}, 256, "berth: frame.LengthPrefixed: 256 bytes give the length 256, which does not fit into 1 bytes"},
		{&frame.LengthPrefixed{Width: 1, Adjust: -1}, 255, "berth: frame.LengthPrefixed: 255 bytes give the length 256, which does not fit into 1 bytes"},
		{&frame.LengthPrefixed{Width: 2, Adjust: 2}, 1, "berth: frame.LengthPrefixed: 1 bytes give the length -1, which does not fit into 2 bytes"},
		{&frame.LengthPrefixed{Width: 8}, -1, "berth: frame.LengthPrefixed: -1 bytes behind the length"},
		{&frame.LengthPrefixed{Width: 4, Adjust: -9}, -1, "berth: frame.LengthPrefixed: -1 bytes behind the length"},
		{&frame.LengthPrefixed{}, 1, "berth: frame.LengthPrefixed.Width is 0, and not 1 to 8"},
		{&frame.VarintPrefixed{}, -1, "berth: frame.VarintPrefixed: a payload of -1 bytes"},
		{&frame.OctetCounted{}, 0, "berth: frame.OctetCounted: a payload of 0 bytes"},
	} {
		got, err := c.codec.AppendHeader([]byte("before"), c.n)
		assert.EqualError(t, err, c.text)
		assert.Equal(t, "before", string(got))
	}
	_, err := (&frame.LengthPrefixed{Width: 4, Adjust: -9}).AppendHeader(nil, math.MaxInt32)
	require.NoError(t, err, "an int of 32 bits must not overflow")
}

package frame_test

import (
	"bufio"
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/test/berthtest"
)

func newBuffer(unread string) *protocol.Buffer { return protocol.NewBuffer([]byte(unread)) }

// splitFuncs are those of bufio, and one with a token at the end of the stream.
var splitFuncs = map[string]bufio.SplitFunc{
	"lines": bufio.ScanLines, "words": bufio.ScanWords, "runes": bufio.ScanRunes, "bytes": bufio.ScanBytes,
	"commas": commas,
}

// commas finds what is between commas: one token more than there are commas, the last of them with
// bufio.ErrFinalToken.
func commas(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, ','); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF {
		return len(data), slices.Clip(data), bufio.ErrFinalToken
	}
	return 0, nil, nil
}

func TestSplitFindsWhatAScannerFinds(t *testing.T) {
	const most = 4096 // a Scanner begins with so much
	words := []string{"a", "bc", "é", "\xe2\x82", " ", "\n", "\r\n", "\r", ",", ",,", "  "}
	for name, split := range splitFuncs {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				stream := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 40).Draw(t, "stream"), "")
				chunks := cut(stream, rapid.SliceOf(rapid.Byte()).Draw(t, "cuts"))
				want, err := scanned(stream, split, most)
				require.NoError(t, err)
				got := decode(t, &frame.Split{Func: split, Max: most}, most, chunks)
				require.Equal(t, want, got.Frames, "%q", chunks)
			})
		})
	}
}

func TestLinesFindsWhatAScannerFinds(t *testing.T) {
	const most = 4096
	words := []string{"a", "bc", "\n", "\r\n", "\r", "\r\r\n", ""}
	rapid.Check(t, func(t *rapid.T) {
		stream := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 40).Draw(t, "stream"), "") + "\n"
		want, err := scanned(stream, bufio.ScanLines, most)
		require.NoError(t, err)
		got := decode(t, &frame.Lines{Max: most}, most, cut(stream, rapid.SliceOf(rapid.Byte()).Draw(t, "cuts")))
		require.Equal(t, outcome{Frames: want}, got)
	})
}

func TestSplitHasTheErrorsOfASplitFunction(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		split bufio.SplitFunc
		want  error
	}{
		"its own":      {func([]byte, bool) (int, []byte, error) { return 1, []byte("a"), broken }, broken},
		"back":         {func([]byte, bool) (int, []byte, error) { return -1, nil, nil }, bufio.ErrNegativeAdvance},
		"too far":      {func(p []byte, _ bool) (int, []byte, error) { return len(p) + 1, p, nil }, bufio.ErrAdvanceTooFar},
		"no more data": {func([]byte, bool) (int, []byte, error) { return 0, nil, nil }, frame.ErrTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBuffer("abcd")
			_, err := (&frame.Split{Func: c.split, Max: 4}).Next(b)
			require.ErrorIs(t, err, c.want)
			require.Equal(t, 4, b.Len())
		})
	}
}

func TestASplitFunctionThatStandsStillDoesNotHoldTheHandlerForEver(t *testing.T) {
	d := frame.Split{Func: func(p []byte, _ bool) (int, []byte, error) { return 0, p[:0], nil }}
	tokens := 0
	for _, err := range d.Frames(newBuffer("abcd")) {
		if err != nil {
			require.EqualError(t, err, "berth: frame.Split.Func returned more than 100 tokens in a row without advancing")
			break
		}
		tokens++
	}
	require.Equal(t, 100, tokens)
}

// Here a token may also come without an advance, as long as the function moves on later.
func TestASplitFunctionMayStandStillForAWhile(t *testing.T) {
	calls := 0
	d := frame.Split{Func: func(p []byte, _ bool) (int, []byte, error) {
		calls++
		if calls%100 == 0 {
			return 1, p[:1], nil
		}
		return 0, p[:0], nil
	}}
	b := newBuffer("abcd")
	for _, err := range d.Frames(b) {
		require.NoError(t, err)
	}
	require.Zero(t, b.Len())
	require.Equal(t, 400, calls)
}

func TestNothingIsDecodedBehindTheFinalToken(t *testing.T) {
	until := func(last string, advance int) bufio.SplitFunc {
		return func(p []byte, atEOF bool) (int, []byte, error) {
			n, token, err := bufio.ScanLines(p, atEOF)
			if string(token) != "DATA" {
				return n, token, err
			}
			if last == "" {
				token = nil
			}
			return advance, token, bufio.ErrFinalToken
		}
	}
	for name, c := range map[string]struct {
		split bufio.SplitFunc
		want  []string
		rest  string
	}{
		"with a token":         {until("DATA", 5), []string{"NOOP", "DATA"}, "abc\ndef"},
		"without":              {until("", 5), []string{"NOOP"}, "abc\ndef"},
		"without, and unmoved": {until("", 0), []string{"NOOP"}, "DATA\nabc\ndef"},
	} {
		t.Run(name, func(t *testing.T) {
			d := frame.Split{Func: c.split, Max: 12}
			b := newBuffer("NOOP\nDATA\nabc\ndef")
			var got []string
			for token, err := range d.Frames(b) {
				require.NoError(t, err)
				got = append(got, string(token))
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.rest, string(b.Bytes()), "the rest is for other code")
			_, err := d.Next(b)
			require.Equal(t, frame.ErrIncomplete, err)
		})
	}
}

func TestATokenOfMaxBytesIsTooLongWhetherOrNotTheFINCameWithIt(t *testing.T) {
	for _, eof := range []bool{false, true} {
		b := newBuffer("")
		(*protocol.Source)(b).Attach([]byte("abcd"), nil, eof)
		_, err := (&frame.Split{Func: bufio.ScanLines, Max: 4}).Next(b)
		require.ErrorIs(t, err, frame.ErrTooLong)
		_, err = (&frame.Split{Func: bufio.ScanLines, Max: 5}).Next(b)
		require.Equal(t, eof, err == nil)
	}
}

// A Scanner gives up at the end of the stream when the function skips bytes.
func TestSplitGoesOnAtTheEndWhenTheFunctionSkipsBytes(t *testing.T) {
	comments := func(p []byte, atEOF bool) (int, []byte, error) {
		n, token, err := bufio.ScanLines(p, atEOF)
		if bytes.HasPrefix(token, []byte("#")) {
			token = nil
		}
		return n, token, err
	}
	b := new(berthtest.Buffer)
	b.Feed("#one\n#two\nthree")
	d := frame.Split{Func: comments}
	token, err := d.Next(b.End())
	require.NoError(t, err)
	require.Equal(t, "three", string(token))
}

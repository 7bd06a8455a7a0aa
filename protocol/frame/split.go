package frame

import (
	"bufio"
	"errors"
	"iter"
	"slices"

	"github.com/go-berth/berth/protocol"
)

// Split decodes the tokens of a bufio.SplitFunc, as a bufio.Scanner does. The function sees at most
// Max bytes, and atEOF once the peer's FIN has come. It sees the beginning of an incomplete token
// again with each call, so a long token in many pieces costs more than with Delimited. Each
// connection needs a Split of its own; it is not for use by several goroutines.
//
// After bufio.ErrFinalToken there are no more frames: Next returns ErrIncomplete, and the bytes
// behind the last token are left to other code. Unlike a Scanner, Split goes on at the end of the
// stream when the function skips bytes without a token. On a connection there is no call without
// unread bytes: a token that the function finds in nothing, behind the last byte, is not seen.
type Split struct {
	// Func finds the tokens. What it skips without a token is consumed, also where Next then
	// returns an error.
	Func bufio.SplitFunc
	// Max is the most bytes that the function sees at once: a token, with what it skips before and
	// behind it in the same call. 0 means DefaultMax.
	Max int

	ended bool // the function returned bufio.ErrFinalToken
	still int  // how many tokens in a row left the stream where it was
}

// mostStill is how many tokens in a row may consume nothing, as in a Scanner.
const mostStill = 100

// Next implements Decoder. If the function finds no token in Max bytes, the error is a
// *TooLongError whose Length is unknown. An error of the function's is returned as it is. A
// function that advances outside of what it sees is bufio.ErrNegativeAdvance or
// bufio.ErrAdvanceTooFar.
func (d *Split) Next(b *protocol.Buffer) ([]byte, error) {
	if d.Func == nil {
		return nil, misuse("Split.Func is nil")
	}
	most, err := limit("Split", d.Max, 1)
	if err != nil {
		return nil, err
	}
	for !d.ended {
		window := b.Peek(most)
		// A full window is no end: whether the FIN came with its last byte or later is chance.
		atEOF := b.AtEOF() && len(window) < most
		if len(window) == 0 && !atEOF {
			break
		}
		advance, token, err := d.Func(window, atEOF)
		switch {
		case err != nil && !errors.Is(err, bufio.ErrFinalToken):
			return nil, err
		case advance < 0:
			return nil, bufio.ErrNegativeAdvance
		case advance > len(window):
			return nil, bufio.ErrAdvanceTooFar
		}
		d.ended = err != nil
		if token != nil {
			return d.take(b, advance, token)
		}
		if advance == 0 && !d.ended {
			if len(window) == most {
				return nil, tooLong(b, carriesText, most, 0)
			}
			break
		}
		b.Skip(advance)
	}
	if d.ended {
		return nil, ErrIncomplete
	}
	return nil, incomplete(b, b.Len()+1)
}

// take consumes a token, unless the function repeats itself for ever.
func (d *Split) take(b *protocol.Buffer, advance int, token []byte) ([]byte, error) {
	if advance > 0 {
		d.still = 0
	} else if d.still++; d.still > mostStill {
		return nil, misuse("Split.Func returned more than %d tokens in a row without advancing", mostStill)
	}
	b.Discard(advance)
	return slices.Clip(token), nil
}

// Frames consumes the whole tokens of b and yields them. It yields an error once, as the last.
func (d *Split) Frames(b *protocol.Buffer) iter.Seq2[[]byte, error] { return frames(d, b) }

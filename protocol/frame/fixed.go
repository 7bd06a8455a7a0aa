package frame

import (
	"iter"

	"github.com/go-berth/berth/protocol"
)

// Fixed decodes frames that all have the same length. It has no state: connections and goroutines
// may share one.
type Fixed struct {
	// Size is the length of a frame in bytes, at least 1. It is the limit as well.
	Size int
}

// Next implements Decoder. It meets no error of the peer's.
func (d *Fixed) Next(b *protocol.Buffer) ([]byte, error) {
	if d.Size < 1 {
		return nil, misuse("Fixed.Size is %d, and a frame has at least 1 byte", d.Size)
	}
	if b.Len() < d.Size {
		return nil, incomplete(b, d.Size)
	}
	return b.Next(d.Size), nil
}

// Frames consumes the whole frames of b and yields them. It yields an error once, as the last.
func (d *Fixed) Frames(b *protocol.Buffer) iter.Seq2[[]byte, error] { return frames(d, b) }

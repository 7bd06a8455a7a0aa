package frame

import (
	"encoding/binary"
	"iter"
	"math/bits"

	"github.com/go-berth/berth/protocol"
)

// VarintPrefixed decodes frames with their length in front as a base-128 varint, as protobuf's
// protodelim and writeDelimitedTo write them. A varint with needless bytes (0x80 0x00 for 0) is
// taken, as protobuf takes it. A VarintPrefixed has no state: connections and goroutines may share
// one. The zero value is ready.
type VarintPrefixed struct {
	// Max is the most bytes of one frame, its varint included. 0 means DefaultMax.
	Max int
}

// Next implements Decoder. A frame of more than Max bytes is a *TooLongError with its Length. A
// varint that is longer than 10 bytes or does not fit into 64 bits is a *MalformedError.
func (d *VarintPrefixed) Next(b *protocol.Buffer) ([]byte, error) {
	most, err := limit("VarintPrefixed", d.Max, 1)
	if err != nil {
		return nil, err
	}
	window := b.Peek(min(most, binary.MaxVarintLen64))
	length, header, problem := varint(window)
	switch {
	case problem != "":
		return nil, malformed(b, carriesBinary, problem)
	case header == 0 && len(window) == most:
		return nil, tooLong(b, carriesBinary, most, 0)
	case header == 0:
		return nil, incomplete(b, b.Len()+1)
	}
	whole, carry := bits.Add64(length, uint64(header), 0)
	switch {
	case carry != 0:
		return nil, malformed(b, carriesBinary, "the length and its varint together do not fit into 64 bits")
	case whole > uint64(most):
		return nil, tooLong(b, carriesBinary, most, whole)
	case uint64(b.Len()) < whole:
		return nil, incomplete(b, int(whole))
	}
	return b.Next(int(whole))[header:], nil
}

// Frames consumes the whole frames of b and yields their payloads. It yields an error once, as the
// last.
func (d *VarintPrefixed) Frames(b *protocol.Buffer) iter.Seq2[[]byte, error] { return frames(d, b) }

// AppendHeader appends to dst the varint that stands before a payload of n bytes, and returns the
// longer slice. It returns an error, and dst as it was, for a negative n. Max is not asked.
func (d *VarintPrefixed) AppendHeader(dst []byte, n int) ([]byte, error) {
	if n < 0 {
		return dst, misuse("VarintPrefixed: a payload of %d bytes", n)
	}
	return binary.AppendUvarint(dst, uint64(n)), nil
}

// varint reads one varint at the beginning of p. size is how many bytes it has, 0 if p ends inside
// it.
func varint(p []byte) (value uint64, size int, problem string) {
	for i, c := range p {
		switch {
		case i == binary.MaxVarintLen64-1 && c >= 0x80:
			return 0, 0, "the varint is longer than 10 bytes"
		case i == binary.MaxVarintLen64-1 && c > 1:
			return 0, 0, "the varint does not fit into 64 bits"
		}
		value |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return value, i + 1, ""
		}
	}
	return 0, 0, ""
}

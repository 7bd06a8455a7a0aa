package frame

import (
	"iter"
	"math/bits"
	"strconv"

	"github.com/go-berth/berth/protocol"
)

// LengthPrefixed decodes frames whose header has the length in binary. The fields mean what those
// of Netty's LengthFieldBasedFrameDecoder mean. A frame on the wire is
//
//	Offset bytes | the length, in Width bytes | as many bytes as it says, and Adjust more
//
// and the payload is the frame without its first Strip bytes. With Width and Strip of 4 it is
// Erlang's {packet, 4}. A LengthPrefixed has no state: connections and goroutines may share one.
type LengthPrefixed struct {
	// Offset is how many bytes come before the length.
	Offset int
	// Width is how many bytes the length has, 1 to 8.
	Width int
	// LittleEndian has the lowest byte of the length come first. Default: the highest, as in
	// network byte order.
	LittleEndian bool
	// Adjust is added to the length to make it the number of bytes behind the length. It is
	// -Width where the length counts itself.
	Adjust int
	// Strip is how many bytes of the frame come before the payload: Offset + Width leaves the
	// whole header out, 0 leaves it in.
	Strip int
	// Max is the most bytes of one frame, its header included. 0 means DefaultMax.
	Max int
}

// Next implements Decoder. A frame of more than Max bytes is a *TooLongError with its Length. A
// length that is negative once adjusted, does not fit into 64 bits, or is less than Strip is a
// *MalformedError. Either comes as soon as the length is there.
func (d *LengthPrefixed) Next(b *protocol.Buffer) ([]byte, error) {
	most, err := d.limit()
	if err != nil {
		return nil, err
	}
	header := d.Offset + d.Width
	if b.Len() < header {
		return nil, incomplete(b, header)
	}
	length := d.number(b.Peek(header)[d.Offset:])
	whole, problem := d.whole(length)
	switch {
	case problem != "":
		return nil, malformed(b, carriesBinary, problem)
	case whole > uint64(most):
		return nil, tooLong(b, carriesBinary, most, whole)
	case uint64(b.Len()) < whole:
		return nil, incomplete(b, int(whole))
	}
	return b.Next(int(whole))[d.Strip:], nil
}

// Frames consumes the whole frames of b and yields their payloads. It yields an error once, as the
// last.
func (d *LengthPrefixed) Frames(b *protocol.Buffer) iter.Seq2[[]byte, error] { return frames(d, b) }

// AppendHeader appends to dst the length of a frame in which n bytes follow the length, and returns
// the longer slice. What comes before the length is the caller's, if Offset is not 0. It returns an
// error, and dst as it was, if the length does not fit into Width bytes. Max is not asked.
func (d *LengthPrefixed) AppendHeader(dst []byte, n int) ([]byte, error) {
	if _, err := d.limit(); err != nil {
		return dst, err
	}
	if n < 0 {
		return dst, misuse("LengthPrefixed: %d bytes behind the length", n)
	}
	length := int64(n) - int64(d.Adjust)
	if length < 0 || d.Width < 8 && length>>(8*d.Width) != 0 {
		return dst, misuse("LengthPrefixed: %d bytes give the length %d, which does not fit into %d bytes", n, length, d.Width)
	}
	for i := range d.Width {
		shift := 8 * i
		if !d.LittleEndian {
			shift = 8 * (d.Width - 1 - i)
		}
		dst = append(dst, byte(length>>shift))
	}
	return dst, nil
}

func (d *LengthPrefixed) limit() (int, error) {
	if d.Width < 1 || d.Width > 8 {
		return 0, misuse("LengthPrefixed.Width is %d, and not 1 to 8", d.Width)
	}
	most, err := limit("LengthPrefixed", d.Max, d.Width)
	switch {
	case err != nil:
		return 0, err
	case d.Offset < 0 || d.Offset > most-d.Width:
		return 0, misuse("LengthPrefixed.Offset is %d, and a frame has at most %d bytes", d.Offset, most)
	case d.Strip < 0 || d.Strip > most:
		return 0, misuse("LengthPrefixed.Strip is %d, and a frame has at most %d bytes", d.Strip, most)
	}
	return most, nil
}

func (d *LengthPrefixed) number(field []byte) (n uint64) {
	for i := range field {
		c := field[i]
		if d.LittleEndian {
			c = field[len(field)-1-i]
		}
		n = n<<8 | uint64(c)
	}
	return n
}

// whole returns how many bytes the frame has that says length, or what is wrong with it.
func (d *LengthPrefixed) whole(length uint64) (whole uint64, problem string) {
	said := func() string { return "the length is " + strconv.FormatUint(length, 10) }
	var carry, more uint64
	if d.Adjust < 0 {
		less := -uint64(d.Adjust)
		if length < less {
			return 0, said() + ", and " + strconv.FormatUint(less, 10) + " are to be taken from it"
		}
		whole = length - less
	} else {
		whole, carry = bits.Add64(length, uint64(d.Adjust), 0)
	}
	whole, more = bits.Add64(whole, uint64(d.Offset+d.Width), 0)
	if carry+more != 0 {
		return 0, said() + ", and with the header it does not fit into 64 bits"
	}
	if whole < uint64(d.Strip) {
		return 0, said() + ", and the frame is shorter than the " + strconv.Itoa(d.Strip) + " bytes to strip"
	}
	return whole, ""
}

package frame

import (
	"errors"
	"fmt"
	"iter"

	"github.com/go-berth/berth/protocol"
)

// Decoder finds the frames of one stream. The types of this package are decoders; the method
// Frames of each is the loop over Next.
type Decoder interface {
	// Next consumes the next frame of b and returns its payload. The payload shares b's memory: it
	// is valid as long as b is, that is, during the handler call. It is not nil, also where it is
	// empty. Bytes that an append writes behind it are not b's.
	//
	// Without a whole frame Next consumes nothing, or by protocol.Buffer.Skip what belongs to none,
	// and returns ErrIncomplete, as it is. The decoders of this package then ask for the bytes that
	// the frame has (see protocol.Buffer.Need), where its length is known, else for one byte more.
	// Any other error is the peer's fault or the program's. Next consumed nothing then either, and
	// would return it again.
	Next(b *protocol.Buffer) ([]byte, error)
}

// ErrIncomplete is what Next returns if there is no whole frame among the unread bytes. They stay,
// and lead the next call.
var ErrIncomplete = errors.New("berth: no whole frame yet")

// DefaultMax is the Max of a decoder that has none: 8 KiB, which is also the default of
// ReadBufferSize.
const DefaultMax = 8 << 10

// Incomplete returns an error that matches io.ErrUnexpectedEOF if the stream ended inside a frame:
// the peer sent FIN, and there are unread bytes. Otherwise it returns nil. It is to be asked after
// the loop over the frames. b still shows the bytes of the incomplete frame.
func Incomplete(b *protocol.Buffer) error {
	if !b.AtEOF() || b.Len() == 0 {
		return nil
	}
	return &unexpectedEOF{b.Len()}
}

// incomplete asks for the n bytes that the frame has, and returns ErrIncomplete, or why it cannot
// have so many.
func incomplete(b *protocol.Buffer, n int) error {
	if err := b.Need(n); err != nil {
		return err
	}
	return ErrIncomplete
}

// frames is the loop of every decoder's Frames.
func frames(d Decoder, b *protocol.Buffer) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) { each(d, b, yield) }
}

func each(d Decoder, b *protocol.Buffer, yield func([]byte, error) bool) {
	for {
		frame, err := d.Next(b)
		if err == ErrIncomplete { //nolint:errorlint // Next returns it as it is, and the path is hot
			return
		}
		if !yield(frame, err) || err != nil {
			return
		}
	}
}

// limit is the Max of a decoder that is set to most, and whose shortest frame has so many bytes.
func limit(decoder string, most, shortest int) (int, error) {
	switch {
	case most == 0:
		most = DefaultMax
	case most < 0:
		return 0, misuse("%s.Max cannot be off (%d): a peer would decide how much memory it takes", decoder, most)
	}
	if most < shortest {
		return 0, misuse("%s.Max is %d, and the shortest frame has %d bytes", decoder, most, shortest)
	}
	return most, nil
}

// misuse is the error of a decoder that is set up wrongly.
func misuse(format string, args ...any) error { return fmt.Errorf("berth: frame."+format, args...) }

package frame

import (
	"iter"

	"github.com/go-berth/berth/protocol"
)

// Delimited decodes frames that end with a delimiter of one or several bytes. Each connection needs
// a Delimited of its own, because it remembers how far it has looked; it is not for use by several
// goroutines.
type Delimited struct {
	// Delimiter ends every frame. It must not be empty.
	Delimiter string
	// Max is the most bytes of one frame, its delimiter included. 0 means DefaultMax.
	Max int
	// Keep leaves the delimiter at the end of the payload.
	Keep bool

	search search
}

// Next implements Decoder. A frame of more than Max bytes is a *TooLongError, whose Length is
// unknown.
func (d *Delimited) Next(b *protocol.Buffer) ([]byte, error) {
	if d.Delimiter == "" {
		return nil, misuse("Delimited.Delimiter is empty")
	}
	most, err := limit("Delimited", d.Max, len(d.Delimiter))
	if err != nil {
		return nil, err
	}
	n, err := d.search.find(b, d.Delimiter, most)
	if err != nil {
		return nil, err
	}
	frame := b.Next(n + len(d.Delimiter))
	if d.Keep {
		return frame, nil
	}
	return frame[:n:n], nil
}

// Frames consumes the whole frames of b and yields their payloads. It yields an error once, as the
// last.
func (d *Delimited) Frames(b *protocol.Buffer) iter.Seq2[[]byte, error] { return frames(d, b) }

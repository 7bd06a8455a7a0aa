package frame

import (
	"iter"

	"github.com/go-berth/berth/protocol"
)

// Lines decodes lines that end with LF. A payload is a line without its LF, and without one CR
// before that LF. The zero value is ready. Each connection needs a Lines of its own, because it
// remembers how far it has looked; it is not for use by several goroutines.
type Lines struct {
	// Max is the most bytes of one line, its end included, as SMTP (RFC 5321 section 4.5.3.1) and
	// IRC count them. 0 means DefaultMax.
	Max int
	// KeepCR leaves a CR before the LF in the payload.
	KeepCR bool

	search search
}

// Next implements Decoder. A line of more than Max bytes is a *TooLongError, whose Length is
// unknown.
func (d *Lines) Next(b *protocol.Buffer) ([]byte, error) {
	most, err := limit("Lines", d.Max, 1)
	if err != nil {
		return nil, err
	}
	n, err := d.search.find(b, "\n", most)
	if err != nil {
		return nil, err
	}
	line := b.Next(n + 1)
	if n > 0 && line[n-1] == '\r' && !d.KeepCR {
		n--
	}
	return line[:n:n], nil
}

// Frames consumes the whole lines of b and yields their payloads. It yields an error once, as the
// last.
func (d *Lines) Frames(b *protocol.Buffer) iter.Seq2[[]byte, error] { return frames(d, b) }

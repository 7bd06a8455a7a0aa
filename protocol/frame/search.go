package frame

import (
	"bytes"

	"github.com/go-berth/berth/protocol"
)

// search looks for the delimiter behind a frame. It remembers how far it has looked, so that no
// byte of a frame that comes in pieces is looked at twice. The position in the stream tells whether
// other code has consumed bytes meanwhile: then it begins again.
type search struct {
	offset uint64 // the position in the stream where the frame begins
	looked int    // no delimiter begins in so many bytes of it
}

// from returns how many bytes of b were looked at already.
func (s *search) from(b *protocol.Buffer) int {
	if s.offset != b.Offset() || s.looked > b.Len() {
		return 0
	}
	return s.looked
}

// find returns the length of the frame at the beginning of b, without its delimiter. most bounds
// frame and delimiter together.
func (s *search) find(b *protocol.Buffer, delimiter string, most int) (int, error) {
	window, from := b.Peek(most), s.from(b)
	i := index(window[from:], delimiter)
	switch {
	case i >= 0:
		s.looked = 0
		return from + i, nil
	case len(window) == most:
		return 0, tooLong(b, carriesText, most, 0)
	}
	s.offset, s.looked = b.Offset(), max(from, len(window)-len(delimiter)+1)
	return 0, incomplete(b, b.Len()+1)
}

// index returns the position of the first delimiter in p, -1 if there is none. bytes.Index would
// have it copied, because it takes no string.
func index(p []byte, delimiter string) int {
	for at := 0; ; at++ {
		i := bytes.IndexByte(p[at:], delimiter[0])
		if i < 0 || len(delimiter) > len(p)-at-i {
			return -1
		}
		at += i
		if string(p[at:at+len(delimiter)]) == delimiter {
			return at
		}
	}
}

package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Buffer shows the unread bytes of a connection. Reading consumes; bytes that are not consumed stay
// and lead the next Data. Slices that Bytes, Next, Peek and ReadLine return share the connection's
// memory: they and the Buffer are valid during the handler call only. To keep bytes, copy them or
// take the memory with Take. (With the build tag berthdebug, memory is overwritten once it went
// back, so that a kept slice shows up in tests.)
//
// A Buffer belongs to the handler call it was given to; it is not for use by several goroutines.
type Buffer struct {
	unread  []byte
	storage any // the owner of the memory behind unread; opaque here, nil once taken
	eof     bool
	end     uint64 // the position in the stream behind unread
	need    int    // of the last Need, 0 if there was none
	needAt  uint64 // the Offset then
	most    int    // that Need takes; 0: any number
	skipped int    // bytes, by Skip
}

// NewBuffer returns a Buffer over p, for tests of handlers.
func NewBuffer(p []byte) *Buffer { return &Buffer{unread: p, end: uint64(len(p))} }

// Bytes returns the unread bytes without consuming them.
func (b *Buffer) Bytes() []byte { return b.Peek(len(b.unread)) }

// Len returns the number of unread bytes.
func (b *Buffer) Len() int { return len(b.unread) }

// AtEOF reports whether the peer sent FIN: no byte will follow the ones shown. Where none is unread
// when the FIN comes, there is no Data to ask it of: PeerClosed or Closed tells of it.
func (b *Buffer) AtEOF() bool { return b.eof }

// Offset returns the position of the first unread byte in the stream: how many bytes of the peer's
// were consumed before it. It grows over all calls of a connection's handler, so it also tells
// whether other code has consumed bytes since an earlier look.
func (b *Buffer) Offset() uint64 { return b.end - uint64(len(b.unread)) }

// Need asks for n unread bytes, the ones that are there included: there is no other Data before so
// many are unread, or the stream has ended, or the connection has. So a frame may be longer than
// ReadBufferSize, and is not looked at again with each piece of it. If n is more than
// MaxReadBufferSize, Need returns an error and asks for nothing.
//
// If n bytes or more stay unread after the call, Data comes again at once, provided that the call
// has consumed some bytes: so a handler can take one frame in each call. What holds Data back
// otherwise (a pause, used-up demand, ReadGate) does so here, and a Resume brings no Data before n
// bytes are there. A Data that asks for more bytes than there are, and of which nothing was
// consumed but by Skip, uses up no demand.
//
// It holds for one Data; the last call counts. Bytes that are consumed after it take it back, and
// so does n <= 0. Once AtEOF is true, no more bytes are waited for: asking for more than there are
// has no effect.
func (b *Buffer) Need(n int) error {
	switch {
	case n <= 0:
		n = 0
	case b.most < 0 && n > len(b.unread):
		return errShownWhole
	case b.most > 0 && n > b.most:
		return fmt.Errorf("berth: %d bytes are needed at once, and MaxReadBufferSize allows %d", n, b.most)
	}
	b.need, b.needAt = n, b.Offset()
	return nil
}

var errShownWhole = errors.New("berth: a frame is shown whole, there is no more of it to need")

// Needed returns what the last Need asked for, 0 if nothing is asked for.
func (b *Buffer) Needed() int {
	if b.needAt != b.Offset() {
		return 0
	}
	return b.need
}

// Peek returns the next n bytes without consuming them; fewer if there are fewer, none for n <= 0.
func (b *Buffer) Peek(n int) []byte {
	n = b.clamp(n)
	return b.unread[:n:n] // capped: an append by the caller must not write into bytes not yet shown
}

// Next consumes and returns the next n bytes; fewer if there are fewer, none for n <= 0.
func (b *Buffer) Next(n int) []byte {
	p := b.Peek(n)
	b.unread = b.unread[len(p):]
	return p
}

// Discard consumes n bytes, fewer if there are fewer, and returns how many.
func (b *Buffer) Discard(n int) int { return len(b.Next(n)) }

// Skip is Discard for bytes that belong to no frame, such as white space between two tokens: a Data
// of which no other byte was consumed has shown nothing yet, and uses up no demand; see Need.
func (b *Buffer) Skip(n int) int {
	n = b.Discard(n)
	b.skipped += n
	return n
}

// ReadByte consumes and returns one byte; io.EOF if there is none.
func (b *Buffer) ReadByte() (byte, error) {
	p := b.Next(1)
	if len(p) == 0 {
		return 0, io.EOF
	}
	return p[0], nil
}

// Read consumes up to len(p) bytes into p. Without unread bytes it returns 0 and io.EOF, for an
// empty p 0 and nil.
func (b *Buffer) Read(p []byte) (int, error) {
	if len(b.unread) == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return copy(p, b.Next(len(p))), nil
}

// ReadLine consumes one line and returns it without its LF and without one CR before that LF.
// Without an LF among the unread bytes it consumes nothing and returns false.
func (b *Buffer) ReadLine() (line []byte, ok bool) {
	i := b.IndexByte('\n')
	if i < 0 {
		return nil, false
	}
	line = b.Next(i + 1)[:i:i]
	if i > 0 && line[i-1] == '\r' {
		line = line[: i-1 : i-1]
	}
	return line, true
}

// IndexByte returns the position of the first c among the unread bytes, -1 if there is none.
func (b *Buffer) IndexByte(c byte) int { return bytes.IndexByte(b.unread, c) }

// Index returns the position of the first sep among the unread bytes, -1 if there is none (also
// where sep is longer than what is there), 0 for an empty sep.
func (b *Buffer) Index(sep []byte) int { return bytes.Index(b.unread, sep) }

// WriteTo writes all unread bytes to w and consumes what w took. It returns w's error,
// io.ErrShortWrite if w took less without giving one.
func (b *Buffer) WriteTo(w io.Writer) (int64, error) {
	if len(b.unread) == 0 {
		return 0, nil
	}
	n, err := w.Write(b.unread)
	n = b.clamp(n)
	short := n < len(b.unread)
	b.unread = b.unread[n:]
	if err == nil && short {
		err = io.ErrShortWrite
	}
	return int64(n), err
}

// CopyTo consumes up to len(p) unread bytes into p and returns how many. It is Read without an
// error when there are no more bytes.
func (b *Buffer) CopyTo(p []byte) int { return copy(p, b.Next(len(p))) }

// Take consumes all unread bytes and gives them to the caller for good, memory included: nothing
// overwrites them later.
func (b *Buffer) Take() []byte {
	p, _ := (*Source)(b).Hand()
	if b.most < 0 {
		p = bytes.Clone(p)
	}
	return p
}

func (b *Buffer) clamp(n int) int { return max(0, min(n, len(b.unread))) }

package frame

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-berth/berth/protocol"
)

// Errors that callers branch on with errors.Is.
var (
	// ErrTooLong is matched by every *TooLongError.
	ErrTooLong = errors.New("berth: frame too long")
	// ErrMalformed is matched by every *MalformedError.
	ErrMalformed = errors.New("berth: malformed frame")
)

// firstBytes is how many bytes of a frame an error shows at most.
const firstBytes = 32

// TooLongError is the error of a frame that is longer than the decoder's Max, or will be. The frame
// is still in the Buffer, as far as it has come.
type TooLongError struct {
	// Limit is the decoder's Max in bytes.
	Limit int
	// Length is how many bytes the whole frame has, header included, as its header says. 0 means
	// unknown: the frame has no length in front, or the limit was reached before the end of it.
	Length uint64
	// First is a copy of the frame's first bytes, at most 32.
	First []byte
	// Hint names what the first bytes look like: "TLS", "HTTP", "HTTP/2", "SSH", "the PROXY
	// protocol", for a decoder of binary frames also "text". Empty: nothing of the sort.
	Hint string
}

// Error says the lengths, and what the frame begins with.
func (e *TooLongError) Error() string {
	text := "berth: frame longer than " + strconv.Itoa(e.Limit) + " bytes"
	if e.Length > 0 {
		text = "berth: frame of " + strconv.FormatUint(e.Length, 10) + " bytes, the limit is " + strconv.Itoa(e.Limit)
	}
	return text + beginning(e.First, e.Hint)
}

// Unwrap returns ErrTooLong.
func (e *TooLongError) Unwrap() error { return ErrTooLong }

// MalformedError is the error of a frame whose header breaks its rules. The frame is still in the
// Buffer, as far as it has come.
type MalformedError struct {
	// Problem is one clause that says what is wrong.
	Problem string
	// First is a copy of the frame's first bytes, at most 32.
	First []byte
	// Hint is as in TooLongError.
	Hint string
}

// Error says the problem, and what the frame begins with.
func (e *MalformedError) Error() string {
	return "berth: malformed frame: " + e.Problem + beginning(e.First, e.Hint)
}

// Unwrap returns ErrMalformed.
func (e *MalformedError) Unwrap() error { return ErrMalformed }

func beginning(first []byte, hint string) string {
	text := "; it begins with " + strconv.Quote(string(first))
	if hint != "" {
		text += ", which looks like " + hint
	}
	return text
}

// content is what a decoder's frames carry.
type content bool

const (
	carriesText   content = false // or anything: text is no surprise
	carriesBinary content = true
)

func tooLong(b *protocol.Buffer, c content, most int, length uint64) error {
	first := leading(b)
	return &TooLongError{Limit: most, Length: length, First: first, Hint: hint(first, c)}
}

func malformed(b *protocol.Buffer, c content, problem string) error {
	first := leading(b)
	return &MalformedError{Problem: problem, First: first, Hint: hint(first, c)}
}

func leading(b *protocol.Buffer) []byte { return append([]byte(nil), b.Peek(firstBytes)...) }

// unexpectedEOF is the error of a stream that ended inside a frame.
type unexpectedEOF struct{ bytes int }

func (e *unexpectedEOF) Error() string {
	return fmt.Sprintf("berth: the stream ended inside a frame, after %d bytes of it", e.bytes)
}

func (e *unexpectedEOF) Unwrap() error { return io.ErrUnexpectedEOF }

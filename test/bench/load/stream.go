package load

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

const (
	// MaxChunk is the most bytes a Stream gives out or compares at once.
	MaxChunk = 64 << 10
	// period is how many bytes pass before a stream repeats. A prime: no message size divides it,
	// so a message never meets its own content again at the same place.
	period = 1<<20 - 3
)

// table holds one period of random bytes and once more its beginning, so that no chunk wraps.
// The seed is fixed: every run sends the same bytes. None of them spell "sleep" (a test says so).
var table = func() []byte {
	source := rand.NewChaCha8([32]byte{'b', 'e', 'r', 't', 'h'})
	bytes := make([]byte, period, period+MaxChunk)
	_, _ = source.Read(bytes) // always all, never an error
	return append(bytes, bytes[:MaxChunk]...)
}()

// Stream is what one connection sends, and so what it must get back: bytes by position. Two
// connections' streams start at different places, so that bytes which end up on the wrong
// connection are noticed like those that change, move or vanish.
type Stream struct {
	table  []byte
	period uint64
	start  uint64
}

// NewStream gives the stream of the connection with this number.
func NewStream(number int) Stream {
	const apart = 514_229 // odd and far from the period's divisors: numbers spread over the table
	return Stream{table: table, period: period, start: uint64(number) * apart % period}
}

// RepeatedStream is message again and again; its length must divide MaxChunk.
func RepeatedStream(message []byte) Stream {
	return Stream{table: bytes.Repeat(message, 1+MaxChunk/len(message)), period: uint64(len(message))}
}

// sleepMessage begins with the word that servers started with -sleep look for.
func sleepMessage(size int) []byte {
	message := make([]byte, size)
	for i := range message {
		message[i] = '.'
	}
	copy(message, "sleep")
	return message
}

// At gives the n bytes from position on; n is at most MaxChunk. They are shared: read only.
func (s Stream) At(position uint64, n int) []byte {
	offset := (s.start + position) % s.period
	return s.table[offset : offset+uint64(n)]
}

// Check compares bytes that came back with those sent from position on, and names the first that
// differs.
func (s Stream) Check(position uint64, got []byte) error {
	want := s.At(position, len(got))
	if bytes.Equal(got, want) {
		return nil
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("byte %d came back as %#02x, sent was %#02x", position+uint64(i), got[i], want[i])
		}
	}
	return nil
}

package conformance

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// Parts of scripts that many tests use.

// echo sends its input back. A refused write ends the connection with its error.
func echo(t *tape, b *protocol.Buffer) error { return t.say(string(b.Next(b.Len()))) }

// leave consumes nothing.
func leave(*tape, *protocol.Buffer) error { return nil }

// roomy are options under which a stall fits.
func roomy() connection.Options {
	return connection.Options{WriteBufferSize: 2 * stallSize, WriteTimeout: -1, DrainQuiet: -1}
}

func only(o connection.Options) listener.Options { return listener.Options{Connection: o} }

// brief is a LingerTimeout for tests whose clients leave their end open.
const brief = 10 * time.Millisecond

// pattern returns n bytes that make a missing, doubled or swapped piece visible.
func pattern(n int) string {
	var b strings.Builder
	b.Grow(n + 8)
	for i := uint32(0x9E3779B9); b.Len() < n; i = i*1664525 + 1013904223 {
		b.Write([]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8)})
	}
	return b.String()[:n]
}

// same compares megabytes. A failure shows only where they differ first.
func same(t *testing.T, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	assert.Fail(t, "other bytes than were sent", "%d of %d bytes, the first %d as sent", len(got), len(want), at)
}

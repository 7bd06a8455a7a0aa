package berthtest

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"github.com/go-berth/berth/connection"
)

// The patience of tests, by the clock they use.
const (
	realPatience   = 20 * time.Second
	bubblePatience = time.Hour
)

// patienceFor is the default patience in a bubble. It outlasts each timeout of the server; on the
// other hand, each second costs the server some microseconds of real time.
func patienceFor(o *connection.Options) time.Duration {
	longest := max(o.IdleTimeout, o.ReadTimeout, o.HandshakeTimeout, o.WriteTimeout, o.CloseTimeout,
		o.HalfCloseTimeout, o.MaxAge, o.MaxAgeGrace, 0)
	return bubblePatience + 3*longest
}

// inBubble reports whether the calling goroutine is in a bubble of testing/synctest. Package
// synctest does not tell, but the header of a stack trace does.
func inBubble() bool {
	header := make([]byte, 128)
	header = header[:runtime.Stack(header, false)]
	header, _, _ = bytes.Cut(header, []byte("\n"))
	return bytes.Contains(header, []byte("synctest bubble"))
}

// ofBubble reports whether t may be the one of a bubble. Only there its Deadline panics.
func ofBubble(t testing.TB) (of bool) {
	limited, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return true
	}
	defer func() { of = recover() != nil }()
	_, _ = limited.Deadline()
	return false
}

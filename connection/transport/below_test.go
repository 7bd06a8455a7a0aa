package transport

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// fulls counts the announcements.
type fulls struct {
	Events
	n int
}

func (f *fulls) Full() { f.n++ }

// TLS also writes for reasons of its own, on the reader's goroutine. A wait there counts as a
// Writev's only if a Writev waits behind it.
func TestOnlyAWritevIsAnnouncedAsBlocked(t *testing.T) {
	f := new(fulls)
	b := &below{stream: &Stream{events: f}}
	b.full()
	b.unblocked()
	b.begin()
	assert.Zero(t, f.n)
	b.full()
	assert.Equal(t, 1, f.n)
	b.unblocked()
	b.end()
	b.full()
	assert.Equal(t, 1, f.n)
	b.begin()
	assert.Equal(t, 2, f.n, "it waits for the lock of the one that waits for room")
}

package listener

import (
	"testing"

	"github.com/go-berth/berth/connection/transport"
)

// overEach runs a test with each transport that the platform has.
func overEach(t *testing.T, test func(t *testing.T, options Options)) {
	t.Run("stream", func(t *testing.T) { test(t, Options{Transport: Stream}) })
	if transport.PollSupported {
		t.Run("poll", func(t *testing.T) { test(t, Options{Transport: Poll}) })
	}
}

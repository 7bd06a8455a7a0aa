package connection

import (
	"fmt"
	"time"

	"github.com/go-berth/berth/internal/window"
)

// RestartHandler limits how often a handler that panics is replaced by a new one on the same
// socket. With the zero value it is never replaced: a panic closes the connection. One panic too
// many closes the connection with ReasonHandlerPanic.
//
// The handler that panicked is discarded. The new one, from the same factory, gets Accepted (an
// actor gets Started before), then the unread bytes as Data, even if no new bytes come. Bytes that
// the failed call had consumed stay consumed, and a message that it was handling is lost. What it
// needed by Buffer.Need is forgotten. Writes accepted before stay queued, and their completions
// still run. Pause, demand, addresses and PID stay as they are. The new handler gets again the
// events that the old one got and that still hold: Writable not ready, Draining, PeerClosed.
//
// A panic in Accepted, in a completion or in the factory counts as any other. A handler is not
// replaced on a connection that is ending already, so not in Closed, and not after Close. An error
// that is returned and runtime.Goexit do not replace it either: they end the connection.
type RestartHandler struct {
	// Max is how many panics there may be Within the time. It cannot be negative: a handler that
	// panics on the same bytes would do so for ever.
	Max int
	// Within is the time over which panics are counted. Default 10 s where there is a Max. Off: the
	// connection's whole life.
	Within time.Duration
}

func (r RestartHandler) validate() error {
	switch {
	case r.Max < 0:
		return fmt.Errorf("berth: RestartHandler.Max %d must not be negative: a handler that panics on the same bytes would do so for ever", r.Max)
	case r.Max == 0 && r.Within > 0:
		return fmt.Errorf("berth: RestartHandler.Within %v has no Max", r.Within)
	}
	return nil
}

// restarts counts the replaced handlers of one connection.
type restarts struct{ recent window.Window }

// take counts one more panic, if the limit allows it.
func (r *restarts) take(limit RestartHandler, now time.Duration) bool {
	if r.recent.Len(now, limit.Within) >= limit.Max {
		return false
	}
	r.recent.Add(now)
	return true
}

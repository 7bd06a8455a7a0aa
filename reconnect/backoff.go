package reconnect

import (
	"math/rand/v2"
	"time"
)

// backoff says how long to wait after failures in a row. The limit doubles from twice the shortest
// wait up to the longest, and the wait is drawn from its upper half: the "equal jitter" of Marc
// Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015. So each wait lies between
// shortest and longest, and clients that lost the same server do not come back together. Full
// jitter would spread them wider, but its waits may be next to nothing, and a client that is alone
// would then dial a server that is down without a pause.
type backoff struct {
	shortest, longest time.Duration
	limit             time.Duration  // of the last wait; 0: there was none
	draw              func() float64 // from [0, 1)
}

func newBackoff(shortest, longest time.Duration) backoff {
	return backoff{shortest: shortest, longest: longest, draw: rand.Float64}
}

// next returns the wait after one more failure.
func (b *backoff) next() time.Duration {
	switch {
	case b.limit == 0:
		b.limit = b.shortest
		fallthrough
	case b.limit <= b.longest/2:
		b.limit = min(2*b.limit, b.longest)
	default:
		b.limit = b.longest
	}
	half := b.limit / 2
	return max(b.shortest, half+time.Duration(b.draw()*float64(b.limit-half)))
}

// reset says that a connection lived long enough.
func (b *backoff) reset() { b.limit = 0 }

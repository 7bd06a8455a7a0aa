package listener

import (
	"time"

	"github.com/go-berth/berth/internal/seam"
)

// backoff says how long to wait after failed accepts in a row: 5 ms, doubled up to 1 s, each with
// up to a fifth less or more, so that many processes that ran into the same limit do not all try
// again at the same moment.
type backoff struct{ last time.Duration }

const (
	firstBackoff = 5 * time.Millisecond
	mostBackoff  = time.Second
)

// next returns the wait after one more failure.
func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, firstBackoff), mostBackoff)
	jitter := 0.8 + 0.4*seam.Float64()
	return min(time.Duration(jitter*float64(b.last)), mostBackoff)
}

// reset says that an accept succeeded.
func (b *backoff) reset() { b.last = 0 }

package listener

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// nominal is the wait after the given number of failures, without jitter.
func nominal(failures int) time.Duration {
	return min(5*time.Millisecond<<min(failures, 10), time.Second)
}

// jittered requires that d is the nominal wait, with a fifth less or more, and never over a second.
func jittered(t *testing.T, failures int, d time.Duration) {
	t.Helper()
	want := nominal(failures)
	assert.GreaterOrEqual(t, d, want*8/10, "after %d failures", failures)
	assert.LessOrEqual(t, d, min(want*12/10, time.Second), "after %d failures", failures)
}

func TestABackoffDoublesFrom5MillisecondsToASecond(t *testing.T) {
	for range 100 {
		var b backoff
		spread := false
		for failures := range 100 {
			d := b.next()
			jittered(t, failures, d)
			spread = spread || failures > 10 && d < time.Second
		}
		assert.True(t, spread, "the longest waits are spread too")
		b.reset()
		jittered(t, 0, b.next())
	}
}

func TestBackoffsOfManyAreSpread(t *testing.T) {
	const tries = 200
	below, above, distinct := 0, 0, map[time.Duration]bool{}
	for range tries {
		var b backoff
		d := b.next()
		distinct[d] = true
		if d < firstBackoff {
			below++
		} else {
			above++
		}
	}
	assert.Greater(t, len(distinct), tries/2)
	assert.Greater(t, below, tries/10)
	assert.Greater(t, above, tries/10)
}

package reconnect

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestTheWaitDoublesBetweenItsBounds(t *testing.T) {
	b := newBackoff(100*time.Millisecond, 30*time.Second)
	for draw, want := range map[float64][]int{ // milliseconds
		0:        {100, 200, 400, 800, 1600, 3200, 6400, 12800, 15000, 15000},
		0.999999: {200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000},
	} {
		b.draw = func() float64 { return draw }
		for range 2 {
			for i, ms := range want {
				got := b.next()
				assert.InDelta(t, ms, got.Seconds()*1000, 1, "wait %d", i)
			}
			b.reset()
		}
	}
}

func TestEveryWaitIsWithinTheBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shortest := rapid.Int64Range(1, 1<<62).Draw(t, "shortest")
		longest := rapid.Int64Range(shortest, 1<<63-1).Draw(t, "longest")
		b := newBackoff(time.Duration(shortest), time.Duration(longest))
		for range 100 {
			wait := b.next()
			if wait < b.shortest || wait > b.longest {
				t.Fatalf("%v is not between %v and %v", wait, b.shortest, b.longest)
			}
		}
	})
}

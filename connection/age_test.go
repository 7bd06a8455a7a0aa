package connection

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/protocol"
)

func TestMaxAgeIsSpreadByATenth(t *testing.T) {
	const maxAge = 10 * time.Hour
	for _, count := range []int{2, 10, 1000} {
		c := newConnection(Options{MaxAge: maxAge}, &taker{})
		var ages []time.Duration
		for range count {
			c.timing.spread = c.shared.spread()
			ages = append(ages, c.ageLimit(maxAge))
		}
		slices.Sort(ages)
		assert.GreaterOrEqual(t, ages[0], 9*time.Hour)
		assert.LessOrEqual(t, ages[count-1], 11*time.Hour)
		even := 2 * time.Hour / time.Duration(count)
		least, most := even, even
		for i := range count - 1 {
			least, most = min(least, ages[i+1]-ages[i]), max(most, ages[i+1]-ages[i])
		}
		assert.Greater(t, least, even/3, "%d", count)
		assert.Less(t, most, 3*even, "%d", count)
	}
}

// aged returns a connection with a limit of exactly 100 s of its own; it is told 10 s before its
// end.
func aged(o Options) *Connection {
	o.MaxAge = 100 * second
	c := newConnection(o, &taker{})
	c.timing.spread = 1 << 15
	return c
}

func TestAnAgeIsNoticedOnceAndItsGraceEnds(t *testing.T) {
	c := aged(Options{DrainQuiet: -1})
	limit := c.ageLimit(100 * second)
	assert.InDelta(t, 100*second, limit, float64(time.Millisecond))
	assert.Zero(t, signalled(c, limit-1))
	assert.Equal(t, signalAged, signalled(c, limit))
	assert.Zero(t, signalled(c, limit+10*second-1), "once")
	assert.Equal(t, signalOverdue, signalled(c, limit+10*second))
	assert.Equal(t, c.shared.epoch.Add(limit+10*second), c.ageDeadline(), "and that is what the handler is told")

	c = aged(Options{DrainQuiet: -1, MaxAgeGrace: -1})
	assert.Equal(t, signalAged, signalled(c, limit))
	assert.Zero(t, signalled(c, 1000*limit))
	assert.Zero(t, c.ageDeadline())
}

func TestAnAgedConnectionThatIsQuietIsNoticed(t *testing.T) {
	c := aged(Options{DrainQuiet: second})
	limit := c.ageLimit(100 * second)
	assert.Zero(t, signalled(c, limit-1), "however quiet it is")
	c.read.Add(1)
	assert.Equal(t, signalAged, signalled(c, limit))
	assert.Zero(t, signalled(c, limit+second-1))
	assert.Equal(t, signalQuiet, signalled(c, limit+second))
	c = aged(Options{DrainQuiet: second})
	assert.Equal(t, signalAged|signalQuiet, signalled(c, limit), "it has been quiet for long")
}

func TestOnlyAnOpenConnectionAges(t *testing.T) {
	c := aged(Options{HandshakeTimeout: -1, CloseTimeout: -1})
	for _, s := range []state{opening, flushing, closing, closed} {
		c.setState(s)
		assert.Zero(t, signalled(c, 1000*second), "%s", s)
	}
}

func TestAnAgeWithoutEndIsNeverReached(t *testing.T) {
	const ever time.Duration = math.MaxInt64
	for _, maxAge := range []time.Duration{ever, ever - 1, ever / 11 * 10, ever / 2} {
		c := newConnection(Options{MaxAge: maxAge}, &taker{})
		for _, spread := range []uint16{0, 1 << 14, 1 << 15, math.MaxUint16} {
			c.timing.spread = spread
			assert.GreaterOrEqual(t, c.ageLimit(maxAge), maxAge-maxAge/10, "%v, %d", maxAge, spread)
			assert.Zero(t, signalled(c, 1000*time.Hour), "%v, %d", maxAge, spread)
		}
	}
	c := newConnection(Options{}, &taker{})
	c.timing.spread = math.MaxUint16
	c.SetTimeouts(protocol.Timeouts{MaxAge: ever})
	assert.Zero(t, signalled(c, 1000*time.Hour))
}

func TestALimitWithoutEndIsNeverReached(t *testing.T) {
	const ever time.Duration = math.MaxInt64
	o := Options{
		MaxAge: 100 * second, MaxAgeGrace: ever, IdleTimeout: ever, ReadTimeout: ever, HandshakeTimeout: ever, WriteTimeout: ever,
		CloseTimeout: ever, LingerTimeout: ever, HalfCloseTimeout: ever, DrainQuiet: ever,
	}
	c := newConnection(o, &taker{})
	c.timing.spread = 1 << 15
	limit := c.ageLimit(100 * second)
	assert.Equal(t, signalAged, signalled(c, limit))
	assert.Zero(t, signalled(c, 1000*time.Hour))
	assert.True(t, c.ageDeadline().After(c.shared.epoch.Add(1000*time.Hour)), "%v", c.ageDeadline())
	for _, s := range []state{opening, flushing, closing} {
		c := newConnection(o, &taker{})
		c.setState(s)
		assert.Zero(t, signalled(c, 1000*time.Hour), "%s", s)
	}
	assert.Positive(t, c.shared.Interval())
	assert.Positive(t, c.shared.untilNext())
}

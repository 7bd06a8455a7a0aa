package connection

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTheSweepsClockDoesNotCountTheTimeThatASweepComesLate(t *testing.T) {
	var k clock
	k.allow(200 * time.Millisecond)
	assert.Equal(t, 150*time.Millisecond, k.now(150*time.Millisecond))
	assert.Equal(t, 150*time.Millisecond, k.sweep(150*time.Millisecond))
	assert.Equal(t, 350*time.Millisecond, k.now(350*time.Millisecond))
	assert.Equal(t, 350*time.Millisecond, k.now(10*second), "it stands still until the sweep comes")
	assert.Equal(t, 350*time.Millisecond, k.sweep(10*second))
	assert.Equal(t, 10*second-350*time.Millisecond, k.behind(10*second))
	assert.Equal(t, 400*time.Millisecond, k.now(10*second+50*time.Millisecond))
	assert.Equal(t, 10*second-350*time.Millisecond, k.behind(10*second+50*time.Millisecond), "only a late sweep adds to it")
	assert.Equal(t, 350*time.Millisecond, k.now(9*second), "it never goes back")
}

func TestToleranceOfALateSweep(t *testing.T) {
	for _, one := range []struct{ interval, shortest, want time.Duration }{
		{250 * time.Millisecond, 4 * second, 250 * time.Millisecond},
		{62500 * time.Microsecond, second, 62500 * time.Microsecond},
		{12500 * time.Microsecond, 200 * time.Millisecond, 50 * time.Millisecond},
		{5 * time.Millisecond, 40 * time.Millisecond, 10 * time.Millisecond}, // a quarter: it must not take a limit up
		{5 * time.Millisecond, time.Millisecond, 5 * time.Millisecond},
		{ReclaimInterval, 4 * second, 50 * time.Millisecond},
	} {
		assert.Equal(t, one.want, slack(one.interval, one.shortest), "%+v", one)
	}
}

// passes lets d pass on the spawner's clock, with sweeps as often as they are due.
func (s *Spawner) passes(d time.Duration) {
	for d > 0 {
		step := min(d, s.Interval())
		s.epoch = s.epoch.Add(-step)
		s.Sweep()
		d -= step
	}
}

// stands lets d pass without a sweep, as if the process were stopped. Then the sweep comes.
func (s *Spawner) stands(d time.Duration) {
	s.epoch = s.epoch.Add(-d)
	s.Sweep()
}

// For every limit that the sweep keeps, half of it passes, and then the process is stopped for a
// hundred times as long. The limit still has half of its time.
func TestAPauseOfTheProcessEndsNothing(t *testing.T) {
	const limit = 10 * second
	off := Options{HandshakeTimeout: -1, IdleTimeout: -1, ReadTimeout: -1, WriteTimeout: -1, CloseTimeout: -1, LingerTimeout: -1, HalfCloseTimeout: -1, DrainQuiet: -1, MaxAgeGrace: -1}
	for name, one := range map[string]struct {
		set   func(o *Options)
		begin func(c *Connection)
		want  uint32
	}{
		"HandshakeTimeout": {func(o *Options) { o.HandshakeTimeout = limit }, func(c *Connection) { c.setState(opening) }, signalUnfinished},
		"IdleTimeout":      {func(o *Options) { o.IdleTimeout = limit }, func(*Connection) {}, signalIdle},
		"ReadTimeout":      {func(o *Options) { o.ReadTimeout = limit }, func(*Connection) {}, signalSilent},
		"WriteTimeout": {func(o *Options) { o.WriteTimeout = limit }, func(c *Connection) {
			_, _ = c.Write(make([]byte, 100))
		}, signalStall},
		"HalfCloseTimeout": {func(o *Options) { o.HalfCloseTimeout = limit }, func(c *Connection) { c.phase.Or(halfClosed) }, signalHalf},
		"DrainQuiet":       {func(o *Options) { o.DrainQuiet = limit }, func(c *Connection) { c.shared.SetDeadline(time.Now()) }, signalQuiet},
		"CloseTimeout":     {func(o *Options) { o.CloseTimeout = limit }, func(c *Connection) { c.setState(flushing) }, signalLate},
		"LingerTimeout":    {func(o *Options) { o.LingerTimeout = limit }, func(c *Connection) { c.setState(closing) }, signalLate},
		"MaxAgeGrace": {func(o *Options) { o.MaxAge, o.MaxAgeGrace = 1, limit }, func(c *Connection) {
			c.shared.passes(1)
			c.signals.Store(0)
		}, signalOverdue},
	} {
		t.Run(name, func(t *testing.T) {
			o := off
			one.set(&o)
			c := newConnection(o, &taker{})
			s := c.shared.Spawner
			s.live = []*Connection{c}
			s.epoch = time.Now()
			s.clock = clock{}
			s.clock.allow(s.untilNext())
			one.begin(c)
			c.rest()
			s.Sweep()
			s.passes(limit / 2)
			s.stands(100 * limit)
			assert.Zero(t, c.signals.Load(), "the sweep that comes late gives it more time")
			s.passes(limit / 4)
			assert.Zero(t, c.signals.Load(), "it has what was left before")
			s.passes(limit / 2)
			assert.Equal(t, one.want, c.signals.Load())
		})
	}
}

func TestAPauseOfTheProcessMakesNoConnectionGreedy(t *testing.T) {
	s := newScene(90, 0)
	c := s.all[0]
	spawner := c.shared.Spawner
	spawner.budget, spawner.live, spawner.epoch = s.Budget, s.all, time.Now()
	spawner.clock = clock{}
	spawner.clock.allow(spawner.untilNext())
	s.waits(1, 20)
	spawner.Sweep()
	spawner.passes(10 * second)
	spawner.stands(1000 * second)
	assert.Empty(t, s.ended())
	spawner.passes(10 * second)
	assert.Empty(t, s.ended())
	spawner.passes(15 * second)
	assert.Equal(t, []int{0}, s.ended())
}

// A connection that comes in a pause, or right after it, begins on the same clock.
func TestAConnectionThatComesAfterAPauseHasItsWholeTime(t *testing.T) {
	c := newConnection(Options{IdleTimeout: 10 * second}, &taker{})
	s := c.shared.Spawner
	s.clock = clock{}
	s.clock.allow(s.untilNext())
	s.epoch = time.Now().Add(-1000 * second)
	c.born, c.timing = s.now(), newTiming(s.clock.now(s.now()), 0)
	s.live = []*Connection{c}
	s.Sweep()
	s.passes(9 * second)
	assert.Zero(t, c.signals.Load())
	s.passes(2 * second)
	assert.Equal(t, signalIdle, c.signals.Load())
	assert.LessOrEqual(t, c.age(s.sweptAt), 12*second, "it is as old as it is")
}

package connection

import "time"

// goldenStep is 2^32 divided by the golden ratio: its multiples, modulo 2^32, lie evenly spread
// wherever one begins and ends.
const goldenStep = 0x9E3779B9

// spread distributes connections evenly over MaxAge's tolerance, so that any number of connections
// accepted together end one by one. Any goroutine may call it.
func (s *Spawner) spread() uint16 { return uint16(s.dealt.Add(goldenStep) >> 16) }

// ageLimit is the age at which this connection ends: maxAge, give or take up to a tenth. One that
// no Duration can hold becomes the longest that it can.
func (c *Connection) ageLimit(maxAge time.Duration) time.Duration {
	least := maxAge - maxAge/10
	return least + min((maxAge/5>>16)*time.Duration(c.timing.spread), noLimit-least)
}

// age is how old the connection is when the sweep's clock shows now. For the sweep.
func (c *Connection) age(now time.Duration) time.Duration { return now + c.shared.behind - c.born }

// agedAt is when the sweep saw that the connection has reached its MaxAge: its grace begins then.
// It is called only after that.
func (c *Connection) agedAt() time.Duration { return time.Duration(c.rare.Load().agedAt.Load()) }

// ageDeadline is when MaxAgeGrace is over, zero where it is off.
func (c *Connection) ageDeadline() time.Time {
	grace := c.shared.options.MaxAgeGrace
	if grace < 0 {
		return time.Time{}
	}
	s := c.shared
	return s.epoch.Add(c.agedAt() + s.clock.behind(s.now())).Add(grace) // in one sum a long grace would overflow
}

package faultnet

import (
	"math/rand/v2"
	"time"
)

// Latency delays everything by Delay, and by up to Jitter more or less, each piece anew. The order
// of the bytes stays.
type Latency struct{ Delay, Jitter time.Duration }

func (l Latency) stage(d beginning) stage { return &latency{toxic: l, random: d.random} }

type latency struct {
	toxic  Latency
	random *rand.Rand
	last   time.Time
}

func (s *latency) pass(p piece) []piece {
	delay := s.toxic.Delay
	if j := int64(s.toxic.Jitter); j > 0 {
		delay += time.Duration(s.random.Int64N(2*j+1) - j)
	}
	p.at = later(p.at.Add(max(delay, 0)), s.last)
	s.last = p.at
	return []piece{p}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

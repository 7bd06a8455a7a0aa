package faultnet

import (
	"math/rand/v2"
	"time"
)

// Slicer cuts each write into pieces of Size bytes, up to Variation more or less, at least one, and
// lets Delay pass after each. Without a Delay they can come together again on their way.
type Slicer struct {
	Size, Variation int
	Delay           time.Duration
}

func (s Slicer) stage(d beginning) stage { return &slicer{toxic: s, random: d.random} }

type slicer struct {
	toxic  Slicer
	random *rand.Rand
	free   time.Time // when the next piece may go
}

func (s *slicer) pass(p piece) (out []piece) {
	s.free = later(s.free, p.at)
	if p.end != none {
		p.at = s.free
		return []piece{p}
	}
	for rest := p.data; len(rest) > 0; {
		size := s.toxic.Size
		if v := s.toxic.Variation; v > 0 {
			size += s.random.IntN(2*v+1) - v
		}
		n := min(len(rest), max(size, 1))
		out = append(out, piece{at: s.free, data: rest[:n]})
		s.free = s.free.Add(s.toxic.Delay)
		rest = rest[n:]
	}
	return out
}

package faultnet

import "time"

// Bandwidth is how many bytes come through in a second; 0 or less is 1.
type Bandwidth struct{ BytesPerSecond int }

func (b Bandwidth) stage(beginning) stage { return &bandwidth{rate: max(b.BytesPerSecond, 1)} }

type bandwidth struct {
	rate int
	free time.Time // when the last byte so far is through
}

// grain is how much of a second's bytes comes through at once.
const grain = 100

func (s *bandwidth) pass(p piece) (out []piece) {
	s.free = later(s.free, p.at)
	if p.end != none {
		p.at = s.free
		return []piece{p}
	}
	for rest := p.data; len(rest) > 0; {
		n := min(len(rest), max(s.rate/grain, 1))
		s.free = s.free.Add(time.Duration(n) * time.Second / time.Duration(s.rate))
		out = append(out, piece{at: s.free, data: rest[:n]})
		rest = rest[n:]
	}
	return out
}

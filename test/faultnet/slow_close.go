package faultnet

import "time"

// SlowClose lets an orderly end wait for Delay.
type SlowClose struct{ Delay time.Duration }

func (s SlowClose) stage(beginning) stage { return slowClose{s} }

type slowClose struct{ toxic SlowClose }

func (s slowClose) pass(p piece) []piece {
	if p.end == fin {
		p.at = p.at.Add(max(s.toxic.Delay, 0))
	}
	return []piece{p}
}

package faultnet

import "time"

// Timeout lets nothing through, and closes the connection after After; 0 means never. The bytes
// that it held back come through when it is removed.
type Timeout struct{ After time.Duration }

func (t Timeout) stage(d beginning) stage { return newHold(d, t.After, closed) }

// ResetPeer lets nothing through, and resets both ends of the connection after After; 0 means at
// once.
type ResetPeer struct{ After time.Duration }

func (r ResetPeer) stage(d beginning) stage { return newHold(d, max(r.After, 1), reset) }

// hold keeps everything back, and has an end of its own.
type hold struct{ end piece }

func newHold(d beginning, after time.Duration, end ending) stage {
	if after <= 0 {
		return holdForever{}
	}
	return hold{piece{at: d.at.Add(after), end: end, toxic: true}}
}

func (h hold) first() piece { return h.end }

func (h hold) pass(p piece) []piece { return holdForever{}.pass(p) }

type holdForever struct{}

func (holdForever) pass(p piece) []piece {
	p.at = never
	return []piece{p}
}

// Package stats condenses the figures of several rounds. A figure from one round is not compared
// with one from another: ratios are taken within a round first, and condensed then.
package stats

import (
	"math"
	"slices"
)

// Spread is what is left of a figure over several rounds.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	Rounds int     `json:"rounds"` // how many rounds it is taken from; 0: there is no such figure
}

// Of condenses values; values that are no number (a division by zero) are left out.
func Of(values []float64) Spread {
	var kept []float64
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			kept = append(kept, v)
		}
	}
	if len(kept) == 0 {
		return Spread{}
	}
	slices.Sort(kept)
	return Spread{Median: median(kept), Min: kept[0], Max: kept[len(kept)-1], Rounds: len(kept)}
}

func median(sorted []float64) float64 {
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Ratio condenses a/b round by round: only rounds that have both count.
func Ratio(a, b map[int]float64) Spread {
	var ratios []float64
	for round, value := range a {
		if base, ok := b[round]; ok {
			ratios = append(ratios, value/base)
		}
	}
	return Of(ratios)
}

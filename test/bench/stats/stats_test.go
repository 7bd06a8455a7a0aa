package stats_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/test/bench/stats"
)

func TestASpreadIsTheMedianWithItsExtremes(t *testing.T) {
	for _, one := range []struct {
		name   string
		values []float64
		want   stats.Spread
	}{
		{"nothing", nil, stats.Spread{}},
		{"one value", []float64{3}, stats.Spread{Median: 3, Min: 3, Max: 3, Rounds: 1}},
		{"the middle of three, in any order", []float64{9, 1, 2}, stats.Spread{Median: 2, Min: 1, Max: 9, Rounds: 3}},
		{"the mean of the middle two of four", []float64{1, 10, 2, 4}, stats.Spread{Median: 3, Min: 1, Max: 10, Rounds: 4}},
		{"no numbers are left out", []float64{math.NaN(), 5, math.Inf(1)}, stats.Spread{Median: 5, Min: 5, Max: 5, Rounds: 1}},
	} {
		t.Run(one.name, func(t *testing.T) { assert.Equal(t, one.want, stats.Of(one.values)) })
	}
}

func TestTheCallersValuesStayInTheirOrder(t *testing.T) {
	values := []float64{3, 1, 2}
	stats.Of(values)
	assert.Equal(t, []float64{3, 1, 2}, values)
}

func TestARatioIsTakenWithinARoundBeforeTheMedian(t *testing.T) {
	// The machine was ten times slower in round 2: the ratio of the medians would say 5, not 2.
	server := map[int]float64{1: 2, 2: 20, 3: 10}
	base := map[int]float64{1: 1, 2: 10, 3: 2}
	assert.Equal(t, stats.Spread{Median: 2, Min: 2, Max: 5, Rounds: 3}, stats.Ratio(server, base))
}

func TestARoundThatLacksOneSideDoesNotCount(t *testing.T) {
	assert.Equal(t, stats.Spread{Median: 3, Min: 3, Max: 3, Rounds: 1},
		stats.Ratio(map[int]float64{1: 6, 2: 8}, map[int]float64{1: 2, 3: 1}))
	assert.Equal(t, stats.Spread{}, stats.Ratio(map[int]float64{1: 6}, map[int]float64{1: 0}), "nothing is a ratio to zero")
}

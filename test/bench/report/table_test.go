package report

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/test/bench/stats"
)

func TestATableIsMarkdown(t *testing.T) {
	rows := table{headings: []string{"", "CPU"}}
	assert.Empty(t, rows.String(), "no row, no table")
	rows.add("a|b", "1.00")
	assert.Equal(t, "|  | CPU |\n|---|--:|\n| a\\|b | 1.00 |\n", rows.String())
}

func TestARatioShowsItsExtremes(t *testing.T) {
	assert.Equal(t, "-", ratio(stats.Spread{}))
	assert.Equal(t, "0.70", ratio(stats.Of([]float64{0.7})))
	assert.Equal(t, "0.70 (0.60-0.90)", ratio(stats.Of([]float64{0.6, 0.7, 0.9})))
	assert.Equal(t, "-", median(stats.Spread{}))
	assert.Equal(t, "1,500", median(stats.Of([]float64{1500})))
	assert.Equal(t, "-", target(0))
	assert.Equal(t, "0.60", target(0.6))
}

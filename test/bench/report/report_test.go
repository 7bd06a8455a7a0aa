package report_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
	"github.com/go-berth/berth/test/bench/report"
)

// sample is a run of three rounds with one of everything: peers, the bound in C, Berth, a server
// that was skipped and one that failed.
func sample(t *testing.T) report.Report {
	t.Helper()
	cases, err := plan.SelectCases([]string{"50", "memory-collected", "scaling", "blocking", "stalled"})
	require.NoError(t, err)
	servers, err := plan.SelectServers([]string{"gonet", "gnet", "evio", "cepoll", "berth"})
	require.NoError(t, err)
	r := report.Report{
		Meta: report.Meta{
			Date: time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC), Command: "go run . -preset short", Preset: "short",
			Rounds: 3, Duration: 250 * time.Millisecond, Go: "go1.26.8", Kernel: "6.18", CPU: "a processor", Cores: 2, Before: "0.10", After: "1.90",
			Versions: map[string]string{"gnet": "v2.9.8"},
		},
		Cases: cases, Servers: servers,
	}
	cpu := map[string]float64{"gonet": 10, "gnet": 9, "cepoll": 6, "berth": 7}
	for round := 1; round <= 3; round++ {
		slower := float64(round) // the machine gets slower; ratios within a round do not
		for _, c := range cases {
			for _, s := range servers {
				m := report.Measurement{Round: round, Case: c.ID, Server: s.ID}
				switch {
				case s.ID == "evio":
					m.Skipped = "it does not build here"
				case s.ID == "cepoll" && c.ID == "stalled":
					m.Failed = "connection 3: byte 7 came back as 0x00, sent was 0x01"
				default:
					m.Values = map[metric.ID]float64{}
					for _, id := range c.Metrics {
						m.Values[id] = cpu[s.ID] * slower
					}
					if _, has := m.Values[metric.Others]; has {
						m.Values[metric.Others] = 0.05
					}
					if s.ID == "gnet" && c.ID == "50" && round == 2 {
						m.Values[metric.Others] = 0.3
						m.Repeats = 2
					}
				}
				r.Measurements = append(r.Measurements, m)
			}
		}
	}
	r.Summarize()
	return r
}

func TestARatioIsToTheBaselineOfTheSameRound(t *testing.T) {
	for _, row := range sample(t).Summary {
		if row.Case == "50" && row.Server == "berth" {
			assert.InDelta(t, 0.7, row.Ratio.Median, 1e-9)
			assert.InDelta(t, 0.7, row.Ratio.Max, 1e-9)
			assert.InDelta(t, 14, row.Values[metric.CPU].Median, 1e-9)
			return
		}
	}
	assert.Fail(t, "there is no row for Berth")
}

func TestBerthIsHeldAgainstTheBestGoPeerAndAgainstC(t *testing.T) {
	rivalries := sample(t).Rivalries()
	require.Len(t, rivalries, 1)
	assert.Equal(t, "gnet", rivalries[0].Best, "the C server is no Go peer")
	assert.InDelta(t, 7.0/9, rivalries[0].ToBest.Median, 1e-9)
	assert.InDelta(t, 7.0/6, rivalries[0].ToC.Median, 1e-9)
	assert.InDelta(t, 7.0/9, rivalries[0].P99ToBest.Median, 1e-9)
}

func TestResultsSurviveJSON(t *testing.T) {
	before := sample(t)
	var file bytes.Buffer
	require.NoError(t, before.WriteJSON(&file))
	after, err := report.ReadJSON(&file)
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

func TestWhatIsNoResultIsRefused(t *testing.T) {
	_, err := report.ReadJSON(strings.NewReader("| a table |"))
	assert.ErrorContains(t, err, "these are no benchmark results")
}

func TestASentenceIsSaidOnceWithItsCases(t *testing.T) {
	r := sample(t)
	assert.Equal(t, []string{
		"evio (50, memory-collected, scaling-100, scaling-1000, scaling-10000, blocking, stalled): it does not build here",
	}, r.Skips())
	assert.Equal(t, []string{"cepoll (stalled): connection 3: byte 7 came back as 0x00, sent was 0x01"}, r.Failures())
}

// TestMarkdown compares with testdata/report.md; UPDATE=1 writes it.
func TestMarkdown(t *testing.T) {
	golden := filepath.Join("testdata", "report.md")
	var text bytes.Buffer
	require.NoError(t, sample(t).WriteMarkdown(&text))
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, text.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), text.String())
}

func TestARoundThatOthersDisturbedIsSaid(t *testing.T) {
	disturbed := sample(t).Disturbances()
	require.Len(t, disturbed, 1)
	assert.True(t, strings.HasPrefix(disturbed[0], "gnet (50): other processes used more than 0.1 of a core"), disturbed[0])
}

func TestAnEmptyReportHasNoTables(t *testing.T) {
	var text bytes.Buffer
	require.NoError(t, report.Report{}.WriteMarkdown(&text))
	assert.NotContains(t, text.String(), "|")
}

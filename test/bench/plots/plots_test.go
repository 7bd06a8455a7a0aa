package plots_test

import (
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
	"github.com/go-berth/berth/test/bench/plots"
	"github.com/go-berth/berth/test/bench/report"
)

func TestEveryFigureIsWrittenAsSVGAndPNG(t *testing.T) {
	r := report.Report{Cases: plan.Cases(), Servers: plan.Servers()}
	for _, c := range r.Cases {
		for i, s := range r.Servers {
			values := map[metric.ID]float64{}
			for _, id := range c.Metrics {
				values[id] = float64(i + 1)
			}
			r.Measurements = append(r.Measurements, report.Measurement{Round: 1, Case: c.ID, Server: s.ID, Values: values})
		}
	}
	r.Summarize()
	dir := t.TempDir()
	files, err := plots.Write(dir, r)
	require.NoError(t, err)
	for _, name := range []string{"cpu-ratio", "p99", "rate", "memory", "blocking", "stalled", "scaling"} {
		assert.Contains(t, files, filepath.Join(dir, name+".svg"))
		text, err := os.ReadFile(filepath.Join(dir, name+".svg"))
		require.NoError(t, err)
		assert.True(t, strings.HasPrefix(string(text), "<?xml"), name)

		file, err := os.Open(filepath.Join(dir, name+".png"))
		require.NoError(t, err)
		picture, err := png.Decode(file)
		file.Close()
		require.NoError(t, err)
		assert.Greater(t, picture.Bounds().Dx(), 400, name)
	}
}

func TestAReportWithoutFiguresHasNoPlots(t *testing.T) {
	files, err := plots.Write(t.TempDir(), report.Report{Cases: plan.Cases(), Servers: plan.Servers()})
	require.NoError(t, err)
	assert.Empty(t, files)
}

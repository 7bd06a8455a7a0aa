package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const docs = "../../../docs"

func TestTheCommittedPlotsAreThoseOfTheTable(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(docs, "performance.md"))
	require.NoError(t, err)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "performance.md"), page, 0o600))
	require.NoError(t, run(folder))
	for name := range themes {
		want, err := os.ReadFile(filepath.Join(folder, "cpu-"+name+".svg"))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(docs, "cpu-"+name+".svg"))
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "run: go run ./test/report/plot")
	}
}

const small = `<!-- bench -->
| | 50 conns | 1,000 conns | connect, echo, close |
|---|--:|--:|--:|
| plain Go | 1.00 | 1.00 | 1.00 |
| **Berth**, poll transport | 0.50 | 0.75 | - |
| Berth, poll transport, one worker | 0.55 | 0.75 | 0.7 |
<!-- /bench -->
`

func TestAPlotHasABarForEveryFigure(t *testing.T) {
	parsed, err := parse(small)
	require.NoError(t, err)
	svg, err := draw(parsed, themes["dark"])
	require.NoError(t, err)
	assert.Equal(t, 5, strings.Count(svg, "<rect"), "two servers, three columns, one figure missing")
	assert.Contains(t, svg, ">0.75<")
	assert.NotContains(t, svg, "one worker")
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); err != nil {
			require.ErrorIs(t, err, io.EOF)
			break
		}
	}
}

func TestATableThatCannotBeDrawnIsAnError(t *testing.T) {
	for says, page := range map[string]string{
		"no table":        strings.ReplaceAll(small, "<!-- bench -->", ""),
		"cells instead":   strings.ReplaceAll(small, "| 0.50 |", "|"),
		"invalid syntax":  strings.ReplaceAll(small, "0.50", "half"),
		"the scale ends ": strings.ReplaceAll(small, "0.50", "9.50"),
	} {
		parsed, err := parse(page)
		if err == nil {
			_, err = draw(parsed, themes["light"])
		}
		assert.ErrorContains(t, err, says)
	}
}

package report

import (
	"fmt"
	"strings"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/stats"
)

// table is a Markdown table: the first column names, the others hold figures.
type table struct {
	headings []string
	rows     [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// String is the table, or "" if it has no rows. Names are aligned left, figures right.
func (t table) String() string {
	if len(t.rows) == 0 {
		return ""
	}
	var text strings.Builder
	writeRow(&text, t.headings)
	text.WriteString("|---|" + strings.Repeat("--:|", len(t.headings)-1) + "\n")
	for _, row := range t.rows {
		writeRow(&text, row)
	}
	return text.String()
}

func writeRow(text *strings.Builder, cells []string) {
	for _, cell := range cells {
		fmt.Fprintf(text, "| %s ", strings.ReplaceAll(cell, "|", `\|`))
	}
	text.WriteString("|\n")
}

// ratio writes a median with its extremes: a ratio with extremes far apart says little.
func ratio(s stats.Spread) string {
	switch s.Rounds {
	case 0:
		return "-"
	case 1:
		return fmt.Sprintf("%.2f", s.Median)
	}
	return fmt.Sprintf("%.2f (%.2f-%.2f)", s.Median, s.Min, s.Max)
}

func median(s stats.Spread) string {
	if s.Rounds == 0 {
		return "-"
	}
	return metric.Format(s.Median)
}

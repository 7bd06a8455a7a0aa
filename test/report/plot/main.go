// Plot draws the figures of docs/performance.md that the README shows: server CPU per message as a
// ratio to plain Go. It writes docs/cpu-light.svg and docs/cpu-dark.svg. Run it in the module's
// root after the table has changed.
//
//	go run ./test/report/plot
package main

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	if err := run("docs"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run reads performance.md of a folder, and writes the plots beside it.
func run(folder string) error {
	page, err := os.ReadFile(filepath.Join(folder, "performance.md"))
	if err != nil {
		return err
	}
	t, err := parse(string(page))
	if err != nil {
		return err
	}
	for name, c := range themes {
		svg, err := draw(t, c)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, "cpu-"+name+".svg"), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// shown are the columns of the table that become panels.
var shown = []string{"50 conns", "1,000 conns", "connect, echo, close"}

// leftOut are the rows that do not become bars: the same server with another setting.
var leftOut = []string{"one worker"}

// table is a table of figures, one server a row.
type table struct {
	columns []string
	rows    []row
}

type row struct {
	server  string
	own     bool // Berth
	figures map[string]float64
}

// parse reads the table between the marks.
func parse(page string) (t table, err error) {
	_, rest, found := strings.Cut(page, "<!-- bench -->\n")
	text, _, ended := strings.Cut(rest, "<!-- /bench -->")
	if !found || !ended {
		return t, fmt.Errorf("plot: there is no table between the marks bench and /bench")
	}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for j := range cells {
			cells[j] = strings.TrimSpace(cells[j])
		}
		switch {
		case i == 0:
			t.columns = cells[1:]
			continue
		case i == 1: // the rule below the heads
			continue
		case len(cells) != len(t.columns)+1:
			return t, fmt.Errorf("plot: %d cells instead of %d: %s", len(cells), len(t.columns)+1, line)
		}
		r := row{server: strings.ReplaceAll(cells[0], "*", ""), own: strings.Contains(cells[0], "Berth"), figures: map[string]float64{}}
		for j, cell := range cells[1:] {
			if cell == "-" {
				continue
			}
			if r.figures[t.columns[j]], err = strconv.ParseFloat(cell, 64); err != nil {
				return t, fmt.Errorf("plot: %s, %s: %w", r.server, t.columns[j], err)
			}
		}
		t.rows = append(t.rows, r)
	}
	return t, nil
}

// theme are the colours on one background.
type theme struct{ text, faint, line, bar, own string }

var themes = map[string]theme{
	"light": {text: "#1b2333", faint: "#4a566b", line: "#5b6b85", bar: "#b9c4d6", own: "#2f6fd0"},
	"dark":  {text: "#e6ebf5", faint: "#a8b3c7", line: "#8796b0", bar: "#46536b", own: "#6aa5ff"},
}

// Sizes are in pixels.
const (
	names   = 188 // the column of the servers' names
	panel   = 172 // one panel, with the space behind it
	widest  = 120 // the bar of the largest figure shown
	step    = 19  // from bar to bar
	top     = 48
	largest = 1.6
)

// draw returns an SVG.
func draw(t table, c theme) (string, error) {
	var bars []row
	for _, r := range t.rows {
		if !contains(r.server, leftOut) {
			bars = append(bars, r)
		}
	}
	width, height := names+panel*len(shown), top+step*len(bars)+8
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="ui-sans-serif, system-ui, sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	b.WriteString("<title>Server CPU per message, plain Go = 1</title>\n")
	fmt.Fprintf(&b, `<text x="0" y="16" fill="%s" font-weight="600">Server CPU per message, plain Go = 1; less is better</text>`+"\n", c.text)
	for i, r := range bars {
		weight := "400"
		if r.own {
			weight = "600"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end" fill="%s" font-weight="%s">%s</text>`+"\n",
			names-10, top+step*i+12, c.text, weight, html.EscapeString(short(r.server)))
	}
	for p, column := range shown {
		left := names + panel*p
		fmt.Fprintf(&b, `<text x="%d" y="38" fill="%s">%s</text>`+"\n", left, c.faint, html.EscapeString(column))
		for i, r := range bars {
			figure, found := r.figures[column]
			switch {
			case !found:
				continue
			case figure > largest:
				return "", fmt.Errorf("plot: %s has %.2f in %q: the scale ends at %.1f", r.server, figure, column, largest)
			}
			fill := c.bar
			if r.own {
				fill = c.own
			}
			y, length := top+step*i, figure/largest*widest
			label := length + 4
			if one := float64(widest) / largest; label < one && label+26 > one { // the line would go through it
				label = one + 4
			}
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="14" fill="%s"/>`+"\n", left, y, length, fill)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" fill="%s" font-size="11">%.2f</text>`+"\n", float64(left)+label, y+11, c.faint, figure)
		}
		one := float64(left) + widest/largest
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-dasharray="2 3"/>`+"\n", one, top-4, one, height-6, c.line)
	}
	b.WriteString("</svg>\n")
	return b.String(), nil
}

// short returns a server's name without what does not fit beside a bar.
func short(server string) string {
	return strings.NewReplacer(
		"two stock Proto.Actor actors per connection", "Proto.Actor, 2 actors each",
		", poll transport", ", poll", ", stream transport", ", stream").Replace(server)
}

func contains(text string, parts []string) bool {
	for _, one := range parts {
		if strings.Contains(text, one) {
			return true
		}
	}
	return false
}

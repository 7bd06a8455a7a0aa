// Package plots draws a report: bars for comparisons between servers, lines for figures over the
// number of connections. Every figure is written as SVG and as PNG.
package plots

import (
	"fmt"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/report"
)

// Size of one panel; a figure is a grid of them.
const (
	panelWidth  = 4.6 * vg.Inch
	panelHeight = 3.4 * vg.Inch
	columns     = 3
	dpi         = 110
)

// Write draws every figure the report has data for, and returns the files' names.
func Write(dir string, r report.Report) ([]string, error) {
	figures := []struct {
		name   string
		panels []*plot.Plot
	}{
		{"cpu-ratio", ratioPanels(r)},
		{"p99", panels(r, "echo", metric.P99, "p99 latency, us")},
		{"rate", panels(r, "echo", metric.Rate, "messages per second")},
		{"memory", panels(r, "memory", metric.Idle, "bytes per idle connection")},
		{"blocking", panels(r, "blocking", metric.DisturbedP99, "p99 of the others, us")},
		{"stalled", panels(r, "stalled", metric.Held, "held for a peer that does not read, KiB")},
		{"scaling", scalingPanels(r)},
	}
	var files []string
	for _, figure := range figures {
		if len(figure.panels) == 0 {
			continue
		}
		written, err := save(dir, figure.name, figure.panels)
		if err != nil {
			return files, err
		}
		files = append(files, written...)
	}
	return files, nil
}

// save lays the panels out in rows of columns and writes the figure in both formats.
func save(dir, name string, panels []*plot.Plot) ([]string, error) {
	wide := min(len(panels), columns)
	high := (len(panels) + wide - 1) / wide
	width, height := vg.Length(wide)*panelWidth, vg.Length(high)*panelHeight
	svg := vgsvg.New(width, height)
	lay(panels, wide, high, draw.New(svg))
	png := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi))}
	lay(panels, wide, high, draw.New(png))
	var files []string
	for extension, canvas := range map[string]vg.CanvasWriterTo{".svg": svg, ".png": png} {
		path := filepath.Join(dir, name+extension)
		if err := write(path, canvas); err != nil {
			return files, err
		}
		files = append(files, path)
	}
	return files, nil
}

func lay(panels []*plot.Plot, wide, high int, canvas draw.Canvas) {
	const gap = 2 * vg.Millimeter
	grid := make([][]*plot.Plot, high)
	for i := range grid {
		grid[i] = make([]*plot.Plot, wide)
		copy(grid[i], panels[i*wide:min((i+1)*wide, len(panels))])
	}
	tiles := draw.Tiles{Rows: high, Cols: wide, PadX: gap, PadY: gap, PadTop: gap, PadBottom: gap, PadLeft: gap, PadRight: gap}
	for i, row := range plot.Align(grid, tiles, canvas) {
		for j, cell := range row {
			if grid[i][j] != nil {
				grid[i][j].Draw(cell)
			}
		}
	}
}

func write(path string, canvas vg.CanvasWriterTo) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("a plot cannot be written: %w", err)
	}
	if _, err := canvas.WriteTo(file); err != nil {
		file.Close()
		return fmt.Errorf("the plot %s cannot be written: %w", path, err)
	}
	return file.Close()
}

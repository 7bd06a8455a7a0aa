package plots

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
	"github.com/go-berth/berth/test/bench/report"
)

// scalingPanels show CPU per message and the cost of accepting over the number of connections.
func scalingPanels(r report.Report) []*plot.Plot {
	var all []*plot.Plot
	for _, figure := range []struct {
		id    metric.ID
		label string
	}{
		{metric.CPU, "server CPU per message, us"},
		{metric.SetupCPU, "server CPU per accept, us"},
	} {
		if p := linePanel(r, figure.id, figure.label); p != nil {
			all = append(all, p)
		}
	}
	return all
}

// linePanel draws one line per server measured at two or more sizes; nil if there is none.
func linePanel(r report.Report, id metric.ID, label string) *plot.Plot {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "active connections", label
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.TextStyle.Font.Size = vg.Points(7)
	drawn := 0
	for i, server := range r.Servers {
		points := growth(r, server, id)
		if len(points) < 2 {
			continue
		}
		line, marks, err := plotter.NewLinePoints(points)
		if err != nil {
			continue // a figure that is no number cannot be drawn
		}
		line.Color, line.Dashes = plotutil.Color(i), plotutil.Dashes(i)
		marks.Color, marks.Shape = plotutil.Color(i), plotutil.Shape(i)
		if server.Family == plan.Berth {
			line.Width = vg.Points(2)
		}
		p.Add(line, marks)
		p.Legend.Add(server.ID, line, marks)
		drawn++
	}
	if drawn == 0 {
		return nil
	}
	p.Y.Min = 0
	return p
}

func growth(r report.Report, server plan.Server, id metric.ID) plotter.XYs {
	var points plotter.XYs
	for _, c := range r.Cases {
		for _, row := range r.Summary {
			if spread := row.Values[id]; c.Group == "scaling" && row.Case == c.ID && row.Server == server.ID && spread.Rounds > 0 {
				points = append(points, plotter.XY{X: float64(c.Conns), Y: spread.Median})
			}
		}
	}
	return points
}

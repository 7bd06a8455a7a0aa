package plots

import (
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
	"github.com/go-berth/berth/test/bench/report"
	"github.com/go-berth/berth/test/bench/stats"
)

// bar is one server's figure: the median as the bar's length, the extremes as a line across its
// end.
type bar struct {
	server plan.Server
	value  stats.Spread
}

var colors = map[plan.Family]color.Color{
	plan.Go:    color.RGBA{R: 0x8f, G: 0xa8, B: 0xc4, A: 0xff},
	plan.C:     color.RGBA{R: 0xb0, G: 0xb0, B: 0xb0, A: 0xff},
	plan.Berth: color.RGBA{R: 0xe0, G: 0x7b, B: 0x39, A: 0xff},
}

// ratioPanels are the echo cases' CPU per message to plain Go's, with a line where plain Go stands.
func ratioPanels(r report.Report) []*plot.Plot {
	return each(r, "echo", func(row report.Row) stats.Spread { return row.Ratio }, "server CPU per message, plain Go = 1", true)
}

// panels are one figure of every case in a group.
func panels(r report.Report, group string, id metric.ID, label string) []*plot.Plot {
	return each(r, group, func(row report.Row) stats.Spread { return row.Values[id] }, label, false)
}

func each(r report.Report, group string, of func(report.Row) stats.Spread, label string, unit bool) []*plot.Plot {
	var all []*plot.Plot
	for _, c := range r.Cases {
		if c.Group != group {
			continue
		}
		var bars []bar
		for _, server := range r.Servers {
			i := slices.IndexFunc(r.Summary, func(row report.Row) bool { return row.Case == c.ID && row.Server == server.ID })
			if i >= 0 && of(r.Summary[i]).Rounds > 0 {
				bars = append(bars, bar{server: server, value: of(r.Summary[i])})
			}
		}
		if len(bars) > 0 {
			all = append(all, panel(c.Title, label, bars, unit))
		}
	}
	return all
}

// panel draws horizontal bars, the first server on top.
func panel(title, label string, bars []bar, unit bool) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.X.Min = title, label, 0
	slices.Reverse(bars)
	names := make([]string, len(bars))
	errors := plotter.XErrors{}
	ends := plotter.XYs{}
	for i, b := range bars {
		names[i] = b.server.ID
		ends = append(ends, plotter.XY{X: b.value.Median, Y: float64(i)})
		errors = append(errors, struct{ Low, High float64 }{b.value.Median - b.value.Min, b.value.Max - b.value.Median})
		p.Add(oneBar(b, i))
	}
	if whiskers, err := plotter.NewXErrorBars(struct {
		plotter.XYs
		plotter.XErrors
	}{ends, errors}); err == nil {
		p.Add(whiskers)
	}
	if unit {
		line, _ := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.6}, {X: 1, Y: float64(len(bars)) - 0.4}})
		line.Dashes = []vg.Length{vg.Points(3), vg.Points(3)}
		p.Add(line)
	}
	p.NominalY(names...)
	p.X.Min = 0
	return p
}

func oneBar(b bar, place int) *plotter.BarChart {
	chart, err := plotter.NewBarChart(plotter.Values{b.value.Median}, vg.Points(11))
	if err != nil {
		panic(err) // only for no values or values that are no number, and stats.Of lets neither through
	}
	chart.Horizontal = true
	chart.XMin = float64(place)
	chart.Color = colors[b.server.Family]
	chart.LineStyle.Width = 0
	return chart
}

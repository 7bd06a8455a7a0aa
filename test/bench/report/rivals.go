package report

import (
	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
	"github.com/go-berth/berth/test/bench/stats"
)

// Rivalry is one of Berth's rows in a case, compared with the baseline, the best Go peer and C.
type Rivalry struct {
	Case  plan.Case
	Berth plan.Server

	ToBaseline stats.Spread
	Best       string // the Go peer with the least CPU per message
	ToBest     stats.Spread
	ToC        stats.Spread
	BestP99    string // the Go peer with the lowest p99, perhaps another one
	P99ToBest  stats.Spread
}

// Rivalries compares all of Berth's rows in the echo cases.
func (r Report) Rivalries() []Rivalry {
	var all []Rivalry
	for _, c := range r.group("echo") {
		for _, server := range r.family(plan.Berth) {
			if row, ok := r.row(c.ID, server.ID); ok {
				all = append(all, r.rivalry(c, server, row))
			}
		}
	}
	return all
}

func (r Report) rivalry(c plan.Case, server plan.Server, row Row) Rivalry {
	rivalry := Rivalry{Case: c, Berth: server, ToBaseline: row.Ratio, Best: "-", BestP99: "-"}
	if best, ok := r.best(c, metric.CPU); ok {
		rivalry.Best = best.ID
		rivalry.ToBest = r.compare(c, metric.CPU, server.ID, best.ID)
	}
	if best, ok := r.best(c, metric.P99); ok {
		rivalry.BestP99 = best.ID
		rivalry.P99ToBest = r.compare(c, metric.P99, server.ID, best.ID)
	}
	for _, bound := range r.family(plan.C) {
		rivalry.ToC = r.compare(c, metric.CPU, server.ID, bound.ID)
	}
	return rivalry
}

func (r Report) rivals() table {
	t := table{headings: []string{"", "to plain Go", "target", "best Go peer", "to it", "to C epoll", "target", "best p99", "p99 to it"}}
	for _, v := range r.Rivalries() {
		t.add(v.Berth.Title+": "+v.Case.Title,
			ratio(v.ToBaseline), target(v.Case.AtMost), v.Best, ratio(v.ToBest),
			ratio(v.ToC), target(v.Case.AtMostC), v.BestP99, ratio(v.P99ToBest))
	}
	return t
}

func target(most float64) string {
	if most == 0 {
		return "-"
	}
	return metric.Format(most)
}

// scaling has the cases across and the growth from the first to the last.
func (r Report) scaling() table {
	cases := r.group("scaling")
	if len(cases) == 0 {
		return table{}
	}
	first, last := cases[0], cases[len(cases)-1]
	t := table{headings: []string{""}}
	for _, c := range cases {
		t.headings = append(t.headings, c.Title, "p99 us", "accept CPU us")
	}
	t.headings = append(t.headings, "growth")
	for _, server := range r.Servers {
		cells, measured := []string{server.Title}, false
		for _, c := range cases {
			row, ok := r.row(c.ID, server.ID)
			measured = measured || ok
			cells = append(cells, median(row.Values[metric.CPU]), median(row.Values[metric.P99]), median(row.Values[metric.SetupCPU]))
		}
		growth := stats.Ratio(r.series(last.ID, server.ID, metric.CPU), r.series(first.ID, server.ID, metric.CPU))
		if measured {
			t.add(append(cells, ratio(growth))...)
		}
	}
	return t
}

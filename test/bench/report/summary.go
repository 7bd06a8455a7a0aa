package report

import (
	"slices"

	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
	"github.com/go-berth/berth/test/bench/stats"
)

// Row is a server in a case, over all rounds.
type Row struct {
	Case   string                     `json:"case"`
	Server string                     `json:"server"`
	Values map[metric.ID]stats.Spread `json:"values"`
	// Ratio is the case's primary figure to the baseline's of the same round.
	Ratio stats.Spread `json:"ratio"`
}

// Summarize fills in Summary from the measurements.
func (r *Report) Summarize() {
	r.Summary = nil
	for _, c := range r.Cases {
		for _, server := range r.Servers {
			row := Row{Case: c.ID, Server: server.ID, Values: map[metric.ID]stats.Spread{}}
			for _, id := range c.Metrics {
				if spread := spreadOf(r.series(c.ID, server.ID, id)); spread.Rounds > 0 {
					row.Values[id] = spread
				}
			}
			if len(row.Values) == 0 {
				continue
			}
			row.Ratio = r.compare(c, c.Primary(), server.ID, c.Baseline)
			r.Summary = append(r.Summary, row)
		}
	}
}

// series are a figure's values by round.
func (r Report) series(caseID, serverID string, id metric.ID) map[int]float64 {
	values := map[int]float64{}
	for _, m := range r.Measurements {
		if v, ok := m.Values[id]; ok && m.Case == caseID && m.Server == serverID {
			values[m.Round] = v
		}
	}
	return values
}

func spreadOf(series map[int]float64) stats.Spread {
	var values []float64
	for _, v := range series {
		values = append(values, v)
	}
	return stats.Of(values)
}

// compare is one server's figure to another's, round by round.
func (r Report) compare(c plan.Case, id metric.ID, server, other string) stats.Spread {
	return stats.Ratio(r.series(c.ID, server, id), r.series(c.ID, other, id))
}

// row finds a summary row.
func (r Report) row(caseID, serverID string) (Row, bool) {
	i := slices.IndexFunc(r.Summary, func(row Row) bool { return row.Case == caseID && row.Server == serverID })
	if i < 0 {
		return Row{}, false
	}
	return r.Summary[i], true
}

// best is the Go peer with the lowest median of a figure in a case.
func (r Report) best(c plan.Case, id metric.ID) (plan.Server, bool) {
	var winner plan.Server
	lowest, found := 0.0, false
	for _, server := range r.Servers {
		row, ok := r.row(c.ID, server.ID)
		spread, measured := row.Values[id]
		if !ok || !measured || server.Family != plan.Go {
			continue
		}
		if !found || spread.Median < lowest {
			winner, lowest, found = server, spread.Median, true
		}
	}
	return winner, found
}

// group are the cases of a group that were part of the run.
func (r Report) group(name string) []plan.Case {
	return slices.DeleteFunc(slices.Clone(r.Cases), func(c plan.Case) bool { return c.Group != name })
}

func (r Report) family(family plan.Family) []plan.Server {
	return slices.DeleteFunc(slices.Clone(r.Servers), func(s plan.Server) bool { return s.Family != family })
}

package load

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/go-berth/berth/test/bench/metric"
)

// values are a run's figures.
type values = map[metric.ID]float64

// report computes a run's figures; it is called when the loops have ended, and their histograms
// are at rest.
type report func() (values, error)

// span is a measured window.
type span struct {
	from, to edge
	threads  int
}

// messages is how many messages came back within the window.
func (s span) messages() int64 { return s.to.messages - s.from.messages }

// cycles is how many connections went from connect to close within it.
func (s span) cycles() int64 { return s.to.cycles - s.from.cycles }

// serverCPU is the server's CPU per message, in microseconds.
func (s span) serverCPU() float64 {
	return micro(s.to.server-s.from.server) / float64(max(s.messages(), 1))
}

// figures are what every echo case reports, per each of n messages.
func (s span) figures(n int64, latencies *hdrhistogram.Histogram) (values, error) {
	if n == 0 {
		return nil, fmt.Errorf("not one message came back within the window")
	}
	wall := s.to.at.Sub(s.from.at)
	own := s.to.own - s.from.own
	return values{
		metric.CPU:          micro(s.to.server-s.from.server) / float64(n),
		metric.User:         micro(s.to.server-s.from.server) * s.userShare() / float64(n),
		metric.Others:       s.others(),
		metric.GeneratorCPU: micro(own) / float64(n),
		metric.Rate:         float64(n) / wall.Seconds(),
		metric.Busy:         own.Seconds() / wall.Seconds() / float64(s.threads),
		metric.P50:          quantile(latencies, 50),
		metric.P99:          quantile(latencies, 99),
		metric.Max:          micro(time.Duration(latencies.Max())),
	}, nil
}

// userShare is which part of the server's CPU time was user time.
func (s span) userShare() float64 {
	user, system := s.to.share.User-s.from.share.User, s.to.share.System-s.from.share.System
	return float64(user) / float64(max(user+system, 1))
}

// others is how much of a core was used by neither the server nor the generator.
func (s span) others() float64 {
	rest := s.to.busy - s.from.busy - (s.to.server - s.from.server) - (s.to.own - s.from.own)
	return max(rest.Seconds(), 0) / s.to.at.Sub(s.from.at).Seconds()
}

func quantile(h *hdrhistogram.Histogram, q float64) float64 {
	return micro(time.Duration(h.ValueAtQuantile(q)))
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

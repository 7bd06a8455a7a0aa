package inspector

import (
	"context"
	"maps"
	"math"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/go-berth/berth/protocol"
)

const (
	// historyEvery is the time from one point of the plots to the next.
	historyEvery = time.Second
	// historyPoints is how many points are kept: ten minutes.
	historyPoints = 600
	probeLimit    = 900 * time.Millisecond
)

// point is what the plots show of one moment, all servers together. Rates are per second, since the
// point before.
type point struct {
	Time     int64   `json:"time"` // milliseconds since 1970
	Open     int     `json:"open"`
	Accepted float64 `json:"accepted"` // clients
	Refused  float64 `json:"refused"`  // of those
	Ended    float64 `json:"ended"`    // connections
	Read     float64 `json:"read"`     // bytes
	Written  float64 `json:"written"`  // bytes
	Queued   int     `json:"queued"`   // bytes that wait for the kernel
	Buffered int64   `json:"buffered"` // bytes, of the memory budget
	Heap     uint64  `json:"heap"`     // bytes of live and unswept objects
	Memory   uint64  `json:"memory"`   // bytes that the Go runtime has of the system
	Routines uint64  `json:"goroutines"`
	// LoopLag is how long a probe waited in the run queue of an event loop or of the pool, in
	// seconds: the longest of all. A probe is given up after 900 ms.
	LoopLag float64 `json:"loopLag"`
	// SchedulerLag is how long a goroutine that could run waited to do so, in seconds: the 99th
	// percentile, at the resolution of runtime/metrics.
	SchedulerLag float64 `json:"schedulerLag"`
}

// history keeps the points. Any goroutine may call points; take is called by one at a time.
type history struct {
	mu    sync.Mutex
	all   [historyPoints]point
	count int // of all points ever

	// Of take alone.
	samples   []metrics.Sample
	latencies []uint64 // the histogram's counts at the last point
	last      totals
	lastAt    time.Time
}

// totals are counts since the beginning.
type totals struct{ accepted, refused, ended, read, written uint64 }

func (h *history) take(ctx context.Context, servers []Source) {
	lag := lagOf(ctx, servers)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	p := point{Time: now.UnixMilli(), LoopLag: lag.Seconds()}
	var t totals
	for _, server := range servers {
		info := server.Info()
		p.Open += info.Open
		p.Queued += info.QueuedBytes
		p.Buffered += info.BufferedBytes
		t.accepted += info.Accepted
		t.read += info.Read
		t.written += info.Written
		t.refused += total(info.Refused)
		t.ended += total(info.Ended)
	}
	h.runtime(&p)
	if !h.lastAt.IsZero() {
		seconds := now.Sub(h.lastAt).Seconds()
		rate := func(now, before uint64) float64 {
			return math.Max(0, float64(now)-float64(before)) / seconds // a server that has ended may say 0
		}
		p.Accepted, p.Refused, p.Ended = rate(t.accepted, h.last.accepted), rate(t.refused, h.last.refused), rate(t.ended, h.last.ended)
		p.Read, p.Written = rate(t.read, h.last.read), rate(t.written, h.last.written)
	}
	h.last, h.lastAt = t, now
	h.mu.Lock()
	h.all[h.count%historyPoints] = p
	h.count++
	h.mu.Unlock()
}

// lagOf returns the longest lag of all servers. It takes as long as that.
func lagOf(ctx context.Context, servers []Source) (longest time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	var mu sync.Mutex
	var probes sync.WaitGroup
	for _, server := range servers {
		probes.Go(func() {
			lags := server.LoopLag(ctx)
			mu.Lock()
			defer mu.Unlock()
			longest = slices.Max(append(lags, longest))
		})
	}
	probes.Wait()
	return longest
}

func total[K protocol.Reason | protocol.Refusal](counts map[K]uint64) (sum uint64) {
	for n := range maps.Values(counts) {
		sum += n
	}
	return sum
}

// runtime fills in what the Go runtime tells.
func (h *history) runtime(p *point) {
	if h.samples == nil {
		for _, name := range []string{
			"/memory/classes/heap/objects:bytes", "/memory/classes/total:bytes", "/memory/classes/heap/released:bytes",
			"/sched/goroutines:goroutines", "/sched/latencies:seconds",
		} {
			h.samples = append(h.samples, metrics.Sample{Name: name})
		}
	}
	metrics.Read(h.samples)
	number := func(i int) uint64 {
		if h.samples[i].Value.Kind() != metrics.KindUint64 {
			return 0 // not in this version of Go
		}
		return h.samples[i].Value.Uint64()
	}
	p.Heap, p.Memory, p.Routines = number(0), number(1)-number(2), number(3)
	if h.samples[4].Value.Kind() == metrics.KindFloat64Histogram {
		histogram := h.samples[4].Value.Float64Histogram()
		p.SchedulerLag = percentile(histogram.Buckets, histogram.Counts, h.latencies, 0.99)
		h.latencies = append(h.latencies[:0], histogram.Counts...)
	}
}

// percentile returns the upper bound of the bucket in which the share of the counts above those
// before lies; 0 if there are none, and the lower bound where the upper one is infinite.
func percentile(bounds []float64, counts, before []uint64, share float64) float64 {
	if before == nil {
		before = make([]uint64, len(counts))
	}
	sum := uint64(0)
	for i := range counts {
		sum += counts[i] - before[i]
	}
	if sum == 0 {
		return 0
	}
	rank, seen := uint64(math.Ceil(share*float64(sum))), uint64(0)
	for i := range counts {
		if seen += counts[i] - before[i]; seen >= rank {
			if math.IsInf(bounds[i+1], 1) {
				return bounds[i]
			}
			return bounds[i+1]
		}
	}
	return bounds[len(bounds)-1]
}

// points returns those after the given time, the oldest first.
func (h *history) points(after int64) []point {
	h.mu.Lock()
	defer h.mu.Unlock()
	points := make([]point, 0, min(h.count, historyPoints))
	for n := max(0, h.count-historyPoints); n < h.count; n++ {
		if p := h.all[n%historyPoints]; p.Time > after {
			points = append(points, p)
		}
	}
	return slices.Clip(points)
}

// newest returns the last point, nil before the first.
func (h *history) newest() *point {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count == 0 {
		return nil
	}
	p := h.all[(h.count-1)%historyPoints]
	return &p
}

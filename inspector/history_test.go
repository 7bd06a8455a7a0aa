package inspector

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol"
)

// counted is a server whose totals a test sets.
type counted struct {
	info protocol.ListenerInfo
	lags []time.Duration
}

func (c *counted) PID() *actor.PID             { return actor.NewPID("nonhost", "listener$0") }
func (c *counted) Info() protocol.ListenerInfo { return c.info }
func (c *counted) Connections() []berth.Socket { return nil }
func (c *counted) Warnings() []berth.Warning   { return nil }

func (c *counted) Find(string) (berth.Socket, bool)            { return nil, false }
func (c *counted) LoopLag(ctx context.Context) []time.Duration { return c.lags }

func TestHistoryHasRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &counted{lags: []time.Duration{time.Millisecond, 5 * time.Millisecond, 0}}, &counted{lags: []time.Duration{2 * time.Millisecond}}
		var h history
		a.info = protocol.ListenerInfo{Accepted: 1000, Read: 1 << 30}
		h.take(t.Context(), []Source{a, b})
		time.Sleep(2 * time.Second)
		a.info = protocol.ListenerInfo{
			Open: 3, Accepted: 1010, Read: 1<<30 + 500, Written: 50, QueuedBytes: 7, BufferedBytes: 9,
			Refused: map[protocol.Refusal]uint64{protocol.RefusalFull: 4, protocol.RefusalRate: 2},
			Ended:   map[protocol.Reason]uint64{protocol.ReasonPeerClosed: 1, protocol.ReasonIdleTimeout: 1},
		}
		b.info = protocol.ListenerInfo{Open: 2, Accepted: 6, Written: 50, QueuedBytes: 1}
		h.take(t.Context(), []Source{a, b})
		points := h.points(0)
		require.Len(t, points, 2)
		assert.Zero(t, points[0].Accepted, "1,000 clients of the time before are no rate")
		p := points[1]
		assert.Equal(t, points[0].Time+2000, p.Time)
		assert.Equal(t, 5, p.Open)
		assert.Equal(t, 8, p.Queued)
		assert.EqualValues(t, 9, p.Buffered)
		for name, rate := range map[string][2]float64{
			"accepted": {p.Accepted, 8}, "refused": {p.Refused, 3}, "ended": {p.Ended, 1}, "read": {p.Read, 250}, "written": {p.Written, 50}, "lag": {p.LoopLag, 0.005},
		} {
			assert.InDelta(t, rate[1], rate[0], 1e-9, name)
		}
		assert.Positive(t, p.Heap)
		assert.GreaterOrEqual(t, p.Memory, p.Heap)
		assert.Positive(t, p.Routines)
		assert.Equal(t, points[1:], h.points(points[0].Time))

		for range historyPoints {
			time.Sleep(time.Second)
			h.take(t.Context(), []Source{a, b})
		}
		points = h.points(0)
		require.Len(t, points, historyPoints, "the oldest are gone")
		for n := range points[1:] {
			assert.Equal(t, points[n].Time+1000, points[n+1].Time)
		}
		assert.Equal(t, points[len(points)-1], *h.newest())
	})
}

func TestPercentile(t *testing.T) {
	bounds := []float64{0, 1, 2, 4, math.Inf(1)}
	for _, test := range []struct {
		counts, before []uint64
		share, is      float64
	}{
		{[]uint64{0, 0, 0, 0}, nil, .99, 0},
		{[]uint64{100, 0, 0, 0}, nil, .99, 1},
		{[]uint64{99, 1, 0, 0}, nil, .99, 1},
		{[]uint64{98, 2, 0, 0}, nil, .99, 2},
		{[]uint64{0, 0, 1, 0}, nil, .5, 4},
		{[]uint64{0, 0, 0, 1}, nil, .5, 4},
		{[]uint64{100, 1, 5, 0}, []uint64{100, 1, 0, 0}, .99, 4},
		{[]uint64{100, 1, 5, 0}, []uint64{100, 1, 5, 0}, .99, 0},
	} {
		assert.InDelta(t, test.is, percentile(bounds, test.counts, test.before, test.share), 1e-9, "%v", test)
	}
}

// The ring keeps the newest, and lists them newest first.
func TestClosedRing(t *testing.T) {
	c := closedRing{most: 5}
	for n := range 12 {
		reason := []string{"peer closed", "peer reset"}[n%2]
		c.add(closedJSON{ID: string(rune('a' + n)), Remote: fmt.Sprintf("10.0.0.%d:1", n), Reason: reason, Server: n % 3, Error: []string{"", "broken pipe"}[n%2]})
	}
	ids := func(answer closedPageJSON) (text string) {
		for _, row := range answer.Rows {
			text += row.ID
		}
		return text
	}
	all := page{limit: 50}
	answer := c.list(all, -1, "", "")
	assert.Equal(t, "lkjih", ids(answer))
	assert.Equal(t, map[string]int{"peer closed": 2, "peer reset": 3}, answer.Reasons)
	assert.Equal(t, "ki", ids(c.list(all, -1, "", "peer closed")))
	assert.Equal(t, "ljh", ids(c.list(all, -1, "BROKEN", "")))
	assert.Equal(t, "k", ids(c.list(all, -1, " 10.0.0.10: ", "")))
	assert.Equal(t, "j", ids(c.list(all, 0, "", "")))
	second := c.list(page{offset: 2, limit: 2}, -1, "", "")
	assert.Equal(t, "ji", ids(second))
	assert.Equal(t, 5, second.Total)
	assert.Equal(t, "h", c.find("h").ID)
	assert.Nil(t, c.find("g"), "it is kept no longer")
}

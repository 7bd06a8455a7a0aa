package attack

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/report"
)

// scale is the share of the attackers that a run has; make attack runs all of them.
var scale = flag.Float64("attack.scale", 0.1, "what part of the attackers come, at most 1")

func of(n int) int { return max(1, int(float64(n)**scale)) }

// tell adds the result of an attack to the report.
func tell(t *testing.T, id, holds string, began time.Time, r Result, more ...any) {
	t.Helper()
	figures := map[string]any{
		"transport": t.Name()[strings.LastIndex(t.Name(), "/")+1:],
		"attackers": r.Attackers, "KB each": fmt.Sprintf("%.1f", r.EachKB), "good client before": r.Before.String(), "meanwhile": r.While.String(),
		"a new one served in": r.New.String(),
	}
	if r.Gone > 0 {
		figures["attackers gone within"] = r.Gone.Round(10 * time.Millisecond).String()
	}
	for i := 0; i < len(more); i += 2 {
		figures[more[i].(string)] = more[i+1]
	}
	row := report.Row{ID: id, Holds: holds, Figures: figures, Duration: time.Since(began)}
	if *scale < 1 {
		row.Skipped = fmt.Sprintf("a part of %.2f of the attackers", *scale)
	}
	report.Add(t, row)
}

// cheap asserts that an attacker costs less than a given amount of memory.
func cheap(t *testing.T, r Result, kb float64) {
	t.Helper()
	if !setup.Raced {
		assert.Less(t, r.EachKB, kb, "KB for each attacker")
	}
}

// bearable is the longest time that a good client may wait for an answer, on a machine with other
// work.
const bearable = 2 * time.Second

func TestClientsThatSayNothingHarmNoOtherAndAreSentAway(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began := time.Now()
		r, err := Silent(start(t, strict(transport)), of(5000), 20*time.Second)
		require.NoError(t, err)
		tell(t, "A1", "G11", began, r)
		assert.Less(t, r.While.Worst, bearable)
		assert.NotZero(t, r.New, "a new client was served")
		assert.NotZero(t, r.Gone, "IdleTimeout sends them away")
		cheap(t, r, 32)
	})
}

func TestClientsThatNeverFinishALineHarmNoOther(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began := time.Now()
		r, err := Slow(start(t, strict(transport)), of(2000))
		require.NoError(t, err)
		tell(t, "A2", "G11", began, r)
		assert.Less(t, r.While.Worst, bearable)
		assert.NotZero(t, r.New, "a new client was served")
		cheap(t, r, 32)
	})
}

func TestClientsThatNeverReadHarmNoOtherAndAreSentAway(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began := time.Now()
		// WriteTimeout begins once the kernel's buffers are full: with the race detector, on a busy
		// machine, that alone takes 20 s.
		r, err := Deaf(start(t, strict(transport)), of(1000), time.Minute)
		require.NoError(t, err)
		tell(t, "A3", "G5 G11", began, r)
		assert.Less(t, r.While.Worst, bearable)
		assert.NotZero(t, r.New, "a new client was served")
		assert.NotZero(t, r.Gone, "WriteTimeout sends them away")
		cheap(t, r, 200) // the read buffer, the write buffer, and the connection itself
	})
}

func TestWithoutDescriptorsTheLiveOnesGoOnAndOthersAreServedOnceSomeAreFree(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began := time.Now()
		e, err := Descriptors(start(t, setting{Transport: transport, MaxConnections: -1, Files: 64}), 120)
		require.NoError(t, err)
		report.Add(t, report.Row{ID: "A4", Holds: "G9", Duration: time.Since(began), Figures: map[string]any{
			"served": e.Served, "of those lost": e.Lost, "processor while full": fmt.Sprintf("%.1f%% of a core", 100*e.Processor),
			"served again after": e.Recovered.Round(time.Millisecond).String(),
		}})
		assert.Greater(t, e.Served, 20)
		assert.Zero(t, e.Lost)
		assert.Less(t, e.Processor, 0.2)
		assert.NotZero(t, e.Recovered)
		assert.Less(t, e.Recovered, 3*time.Second)
	})
}

func TestAFloodOfResetsHarmsNoClientAndLeavesNothing(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began := time.Now()
		r, left, err := Resets(start(t, strict(transport)), time.Duration(of(20))*time.Second)
		require.NoError(t, err)
		tell(t, "A5", "G10", began, r, "descriptors left", left)
		assert.Less(t, r.While.Worst, bearable)
		assert.NotZero(t, r.New)
		assert.LessOrEqual(t, left, 0)
	})
}

func TestANeighbourAtFullSpeedKeepsNoClientWaiting(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began := time.Now()
		r, err := Neighbour(start(t, strict(transport)), of(200))
		require.NoError(t, err)
		tell(t, "A10", "G14", began, r)
		assert.Less(t, r.While.Worst, bearable)
		assert.NotZero(t, r.New)
	})
}

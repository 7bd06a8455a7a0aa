package load_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/bench/load"
	"github.com/go-berth/berth/test/bench/metric"
	"github.com/go-berth/berth/test/bench/plan"
)

func TestEveryEchoCaseGivesEveryFigure(t *testing.T) {
	addr := listen(t, echo)
	for _, c := range plan.Cases() {
		if c.Group != "echo" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) {
			c.Conns = min(c.Conns, 64)
			result, err := run(addr, c)
			require.NoError(t, err)
			for _, id := range c.Metrics {
				assert.Contains(t, result.Values, id)
				if id != metric.User && id != metric.Others { // a short window may have no tick of them
					assert.Positive(t, result.Values[id], "%s", id)
				}
			}
			assert.LessOrEqual(t, result.Values[metric.User], result.Values[metric.CPU])
			assert.LessOrEqual(t, result.Values[metric.P50], result.Values[metric.P99])
			assert.LessOrEqual(t, result.Values[metric.P99], result.Values[metric.Max]*1.001)
		})
	}
}

func TestSeveralThreadsShareTheConnections(t *testing.T) {
	c := echoCase()
	c.Conns = 7
	job := load.Job{Case: c, Addr: listen(t, echo), PID: ownPID, Duration: 50 * time.Millisecond, Threads: 3}
	result, err := load.Run(job)
	require.NoError(t, err)
	assert.Positive(t, result.Values[metric.Rate])
}

func TestIdleConnectionsAreCountedInMemory(t *testing.T) {
	// The generator shares this process, so what is counted is not the server's alone.
	result, err := run(listen(t, echo), plan.Case{Kind: plan.Memory, Conns: 200, Size: 64})
	require.NoError(t, err)
	assert.Contains(t, result.Values, metric.Idle)
}

func TestASleepingHandlerThatHoldsTheOthersUpShows(t *testing.T) {
	const sleep = 60 * time.Millisecond
	c := plan.Case{Kind: plan.Blocking, Conns: 10, Size: 64, Sleep: sleep}

	alone, err := run(listen(t, drowsy(sleep, noLock{})), c)
	require.NoError(t, err)
	assert.Positive(t, alone.Values[metric.CalmP99])

	together, err := run(listen(t, drowsy(sleep, &sync.Mutex{})), c)
	require.NoError(t, err)
	assert.Greater(t, together.Values[metric.DisturbedP99], float64(sleep.Microseconds())/2,
		"a closed loop would have hidden it behind the messages between two sleeps")
}

func TestPeersThatDoNotReadGetEverythingInTheEnd(t *testing.T) {
	result, err := run(listen(t, echo), plan.Case{Kind: plan.Stalled, Conns: 10, Size: 64})
	require.NoError(t, err)
	assert.Positive(t, result.Values[metric.Swallowed])
	assert.Zero(t, result.Values[metric.Cut])
}

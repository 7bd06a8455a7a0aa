package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/session"
	"github.com/go-berth/berth/sessionnats"
	"github.com/go-berth/berth/test/report"
)

var (
	costsFor      = flag.Duration("costs.for", 0, "how long the costs of a line are measured; 0: not")
	costsSessions = flag.Int("costs.sessions", 10_000, "sessions whose memory is measured")
)

// cost is what one process has used: processor time, and memory now.
func (p *processes) cost(i int) (processor time.Duration, bytes int) {
	p.t.Helper()
	pid := p.running[i].PID()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(p.t, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	var user, system int
	_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	require.NoError(p.t, err)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(p.t, err)
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	require.True(p.t, found)
	_, err = fmt.Sscan(rest, &bytes)
	require.NoError(p.t, err)
	return time.Duration(user+system) * 10 * time.Millisecond, bytes << 10 // ticks of a hundredth of a second
}

// What docs/scale.md counts with: processor time for a line at the nodes and at the gateways, and
// memory for a session.
func TestCosts(t *testing.T) {
	if *costsFor == 0 {
		t.Skip("-costs.for is 0")
	}
	p := startProcesses(t)
	total := func(from int) (processor time.Duration, bytes int) {
		for i := from; i < from+3; i++ {
			c, b := p.cost(i)
			processor, bytes = processor+c, bytes+b
		}
		return processor, bytes
	}
	ctx, cancel := context.WithTimeout(t.Context(), *costsFor+2*time.Minute)
	defer cancel()
	_, empty := total(3)
	crowd, err := startCrowd(ctx, *clusterClients, *clusterRooms, *clusterEvery, p.gateways)
	require.NoError(t, err)
	defer crowd.close()
	_, full := total(3)
	eventually(t, "all clients have a line stored", func() bool { return crowd.lives(0, *clusterClients) })
	lines, began := crowd.record.acknowledged(), time.Now()
	nodes, _ := total(0)
	gateways, _ := total(3)
	time.Sleep(*costsFor)
	lines = crowd.record.acknowledged() - lines
	nodesThen, _ := total(0)
	gatewaysThen, _ := total(3)
	took := time.Since(began)
	require.NoError(t, crowd.hush(ctx))
	members := *clusterClients / *clusterRooms

	store, err := sessionnats.Open(ctx, sessionnats.Options{URLs: p.urls})
	require.NoError(t, err)
	defer store.Close()
	_, memory := total(0)
	for i := range *costsSessions {
		require.NoError(t, store.Insert(ctx, session.State{ID: fmt.Sprintf("cost%d", i), Epoch: 1, Attached: true}))
	}
	_, memoryThen := total(0)
	report.Add(t, report.Row{ID: "K2", Figures: map[string]any{
		"lines": lines, "lines per second": float64(lines) / took.Seconds(), "members of a room": members,
		"us of the three nodes for a line":     float64((nodesThen - nodes).Microseconds()) / float64(lines),
		"us of the gateways for a line":        float64((gatewaysThen - gateways).Microseconds()) / float64(lines),
		"us of the gateways for a delivery":    float64((gatewaysThen - gateways).Microseconds()) / float64(lines*members),
		"memory of a member at its gateway":    float64(full-empty) / float64(*clusterClients),
		"memory of a session at a node, bytes": float64(memoryThen-memory) / 3 / float64(*costsSessions),
		"sessions whose memory was measured":   *costsSessions,
	}, Duration: time.Since(began)})
}

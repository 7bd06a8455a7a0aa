package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
	"github.com/go-berth/berth/sessionnats"
	"github.com/go-berth/berth/test/report"
)

var (
	clusterFor     = flag.Duration("cluster.for", 0, "how long gateways and nodes are killed in turn; 0: one gateway, and one node that does not lead")
	clusterClients = flag.Int("cluster.clients", 30, "clients")
	clusterRooms   = flag.Int("cluster.rooms", 3, "rooms, with the same number of members each")
	clusterEvery   = flag.Duration("cluster.every", 300*time.Millisecond, "a line of each client")
)

// processes is three nodes and three gateways, each a process.
type processes struct {
	t        *testing.T
	commands [][]string
	running  []*program.Program
	urls     []string
	gateways []string
}

func startProcesses(t *testing.T) *processes {
	t.Helper()
	const n = 3
	addrs, err := sessionnats.FreeAddrs(3 * n)
	require.NoError(t, err)
	nodes, peers, gateways := addrs[:n], addrs[n:2*n], addrs[2*n:]
	p := &processes{t: t, running: make([]*program.Program, 2*n), gateways: gateways}
	dir := t.TempDir()
	for i := range n {
		name := fmt.Sprintf("node%d", i+1)
		p.urls = append(p.urls, "nats://"+nodes[i])
		p.commands = append(p.commands, []string{
			"node", "-name", name, "-dir", filepath.Join(dir, name), "-addr", nodes[i], "-cluster", peers[i], "-peers", strings.Join(peers, ","),
		})
	}
	for _, addr := range gateways {
		p.commands = append(p.commands, []string{"gateway", "-addr", addr, "-store", strings.Join(p.urls, ",")})
	}
	for i := range p.commands {
		p.start(i)
	}
	for i := range p.commands {
		p.ready(i)
	}
	return p
}

func (p *processes) start(i int) {
	command := exec.Command(os.Args[0], p.commands[i]...)
	command.Env = append(os.Environ(), asProgram+"=1")
	p.running[i] = program.StartCommand(p.t, command)
}

func (p *processes) ready(i int) {
	p.running[i].AwaitStdout(p.t, "listening on ")
}

// kill is kill -9.
func (p *processes) kill(i int) {
	process, err := os.FindProcess(p.running[i].PID())
	require.NoError(p.t, err)
	require.NoError(p.t, process.Kill())
}

func (p *processes) name(i int) string {
	if i < len(p.urls) {
		return fmt.Sprintf("node %d", i+1)
	}
	return fmt.Sprintf("gateway %d", i-len(p.urls)+1)
}

// eventually waits for a condition, for a minute at most.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for began := time.Now(); !condition(); time.Sleep(5 * time.Millisecond) {
		require.Less(t, time.Since(began), time.Minute, what)
	}
}

// While gateways and nodes are killed with -9 in turn and started again, every line that was
// acknowledged reaches every member of its room once, all members see the same order, and the lines
// of one sender are in theirs.
func TestUnderKills(t *testing.T) {
	t.Parallel()
	began := time.Now()
	p := startProcesses(t)
	store, err := sessionnats.Open(t.Context(), sessionnats.Options{URLs: p.urls})
	require.NoError(t, err)
	defer store.Close()
	lines, err := openLines(t.Context(), store)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), *clusterFor+2*time.Minute)
	defer cancel()
	crowd, err := startCrowd(ctx, *clusterClients, *clusterRooms, *clusterEvery, p.gateways)
	require.NoError(t, err)
	defer crowd.close()
	t.Logf("%v until %d clients are in %d rooms", time.Since(began).Round(time.Millisecond), *clusterClients, *clusterRooms)

	goOn := map[string][]time.Duration{}
	fault := func(i int, kind string) {
		eventually(t, "all clients have a line stored", func() bool { return crowd.lives(0, *clusterClients) })
		killed := time.Since(crowd.record.began)
		p.kill(i)
		eventually(t, "all clients have a line stored that was said after the kill", func() bool { return crowd.lives(killed, *clusterClients) })
		stall := crowd.record.stall(killed)
		goOn[kind] = append(goOn[kind], stall)
		t.Logf("%6.2f s: %s (%s) killed; the longest wait for an acknowledgement was %v",
			killed.Seconds(), p.name(i), kind, stall.Round(time.Millisecond))
		p.running[i].Wait(t)
		p.start(i)
		p.ready(i)
	}
	leading := func(stream *sessionnats.Stream) (name string) {
		eventually(t, "there is a leader", func() bool {
			name, err = stream.Leader(ctx)
			return err == nil && name != ""
		})
		return name
	}
	leads := func(i int) bool { // the lines or the sessions
		return p.commands[i][2] == leading(lines.Stream) || p.commands[i][2] == leading(store.Stream())
	}
	current := func() { // one node of three may be missing, not two
		eventually(t, "all nodes have all lines", func() bool {
			a, err := lines.Current(ctx)
			b, other := store.Stream().Current(ctx)
			return err == nil && other == nil && a && b
		})
	}
	if *clusterFor == 0 {
		fault(4, "gateway")
		current()
		i := slices.IndexFunc([]int{0, 1, 2}, func(i int) bool { return !leads(i) })
		fault(i, "node")
	}
	for turn := 0; time.Since(crowd.record.began) < *clusterFor; turn++ {
		fault(3+turn%3, "gateway")
		current()
		i, kind := turn%3, "node"
		if leads(i) {
			kind = "leading node"
		}
		fault(i, kind)
		current()
	}
	// Without a quorum nothing is acknowledged. With it again all goes on.
	quorum := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return p.commands[i][2] == leading(lines.Stream) })
	for _, i := range quorum {
		p.kill(i)
		p.running[i].Wait(t)
	}
	before := crowd.record.acknowledged() // those whose answers were under way may still come
	time.Sleep(200 * time.Millisecond)
	without := crowd.record.acknowledged()
	time.Sleep(time.Second)
	assert.Equal(t, without, crowd.record.acknowledged(), "acknowledged without a quorum; %d before", before)
	restored := time.Since(crowd.record.began)
	for _, i := range quorum {
		p.start(i)
		p.ready(i)
	}
	eventually(t, "all clients have a line stored again", func() bool { return crowd.lives(restored, *clusterClients) })
	goOn["without a quorum"] = []time.Duration{time.Since(crowd.record.began) - restored}
	require.NoError(t, crowd.hush(ctx))
	v := crowd.record.check()
	for _, fault := range v.faults {
		t.Error(fault)
	}
	assert.Zero(t, v.lost+v.twice)
	assert.Equal(t, v.lines, v.stored)
	assert.Equal(t, v.lines**clusterClients / *clusterRooms, v.deliveries)
	all := crowd.record.latencies(0, time.Hour)
	figures := map[string]any{
		"clients": *clusterClients, "rooms": *clusterRooms, "lines": v.lines, "acknowledged": v.stored, "deliveries": v.deliveries, "lost": v.lost, "twice": v.twice,
		"acknowledged after, median": all[len(all)/2].Round(time.Microsecond).String(), "longest": all[len(all)-1].Round(time.Millisecond).String(),
	}
	for kind, times := range goOn {
		slices.Sort(times)
		if kind != "without a quorum" {
			figures[kind+"s killed"] = len(times)
		}
		figures["to go on, "+kind] = fmt.Sprintf("median %v, longest %v", times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
	}
	report.Add(t, report.Row{ID: "K1", Holds: "no acknowledged line lost, none twice", Figures: figures, Duration: time.Since(began)})
}

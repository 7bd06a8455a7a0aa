package sim

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/history"
	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/sched"
)

// ordered is a simulated network in which one goroutine runs at a time, in an order that the seed
// decides. Everything in such a world repeats.
type ordered struct {
	simulated
	run *sched.Run
}

func (o *ordered) rest(w *world) {
	for o.run.Rest(); o.clients.full(w.recorder.Moved()); o.run.Rest() {
		sched.Sleep(discovery)
	}
	w.recorder.Note(history.Rest)
}

// orderedNetwork is a network on which one goroutine runs at a time.
type orderedNetwork struct {
	plan   func(rng *rand.Rand) plan
	ground func(run *sched.Run) ground
	world  func(p plan) check.World // what the judge must know
}

// orderedNetworks are all, by their names in story lines.
var orderedNetworks = map[string]*orderedNetwork{
	"":     {plan: newPlan, ground: func(run *sched.Run) ground { return &ordered{run: run} }, world: plan.world},
	"poll": kernelNetwork,
}

// storyOf returns the world of a seed: every fourth one is run by priorities.
func storyOf(over string, seed uint64, steps int) storyLine {
	line := storyLine{seed: seed, steps: steps, over: over, policy: "random"}
	if seed%4 == 0 {
		line.policy = "pct"
	}
	return line
}

// inOrder runs one world step by step.
func inOrder(t *testing.T, line storyLine) (r run) {
	rng := rand.New(rand.NewPCG(line.seed, 0))
	over := orderedNetworks[line.over]
	r = run{seed: line.seed, steps: line.steps, plan: over.plan(rng), story: line}
	throughput := pick(rng, 1, 1, 3, 100)
	var left error
	r.err = inBubble(t, line.String(), func() {
		options := sched.Options{Policy: line.order(), Seed: line.seed, Throughput: throughput, Strict: *strict}
		done, err := sched.Do(options, func(run *sched.Run) {
			w := &world{seed: line.seed, plan: r.plan, ground: over.ground(run), system: newSystem(), kept: line.keptSteps()}
			r.records, left = w.history(line.steps)
			r.operations = w.operations(r.records)
		})
		if err != nil {
			left = err
		}
		if done != nil {
			r.taken = done.Taken()
		}
	})
	if r.err == nil {
		r.err = left
		r.judge(over.world(r.plan))
	}
	return r
}

// judge finds the violations. With some defects a history makes so little sense that the judge
// panics; that is a failure too.
func (r *run) judge(world check.World) {
	defer func() {
		if reason := recover(); reason != nil {
			r.err = errors.Join(r.err, fmt.Errorf("the history makes no sense: %v", reason))
		}
	}()
	r.violations = check.Violations(world, r.records)
}

// line returns a record without the names of sockets, which differ from process to process.
func line(r *history.Record) string { return socketName.ReplaceAllString(r.String(), "@") }

var socketName = regexp.MustCompile(`@berth-sim[-\d]+`)

// hash returns a number that differs if two histories differ in a record, or in what ran when.
func (r run) hash() uint64 {
	h := fnv.New64a()
	for i := range r.records {
		_, _ = fmt.Fprintf(h, "%s %x\n", line(&r.records[i]), r.records[i].Bytes)
	}
	for _, c := range r.taken {
		_, _ = fmt.Fprintln(h, c.Thread, c.Of, c.Index)
	}
	return h.Sum64()
}

var twice = flag.Uint64("sim.twice", 10, "how many seeds are run twice and compared")

// N1: the same seed is the same history, to the last record.
func TestASeedIsOneHistory(t *testing.T) {
	for over, network := range orderedNetworks {
		t.Run(cmp.Or(over, "simnet"), func(t *testing.T) {
			if network == nil {
				t.Skip("not on " + runtime.GOOS)
			}
			oneHistory(t, over)
		})
	}
}

func oneHistory(t *testing.T, over string) {
	began, same := time.Now(), 0
	for seed := uint64(1); seed <= *twice && !t.Failed(); seed++ {
		line := storyOf(over, seed, min(*steps, 200))
		first, second := inOrder(t, line), inOrder(t, line)
		if first.hash() == second.hash() {
			same++
			continue
		}
		t.Errorf("seed %d: %d records in %d steps, then %d in %d", seed,
			len(first.records), len(first.taken), len(second.records), len(second.taken))
		tellDifference(t, first, second)
	}
	report.Add(t, report.Row{
		ID: "N1", Holds: "the tests", Seeds: fmt.Sprintf("1-%d", *twice), Duration: time.Since(began),
		Figures: map[string]any{"worlds run twice": *twice, "the same to the last record": same},
		Skipped: skipped(*twice >= 10_000, "a short form"),
	})
}

// tellDifference shows where two histories part.
func tellDifference(t *testing.T, a, b run) {
	for i := range min(len(a.records), len(b.records)) {
		if one, other := line(&a.records[i]), line(&b.records[i]); one != other {
			for _, r := range a.records[max(0, i-10):i] {
				t.Log(r)
			}
			t.Logf("record %d:\n%s\n%s", i, one, other)
			return
		}
	}
}

// A goroutine that runs beside the one that was picked would make a history that differs at times.
func TestNothingRunsThatWasNotPicked(t *testing.T) {
	defer func(before bool) { *strict = before }(*strict)
	*strict = true
	for over, network := range orderedNetworks {
		for seed := uint64(1); seed <= 4 && network != nil; seed++ {
			if r := inOrder(t, storyOf(over, seed, 100)); r.err != nil {
				t.Error(r.err)
			}
		}
	}
}

// hashes are those of the first few seeds.
func hashes(t *testing.T) string {
	var text strings.Builder
	for _, over := range slices.Sorted(maps.Keys(orderedNetworks)) {
		for seed := uint64(1); seed <= 4 && orderedNetworks[over] != nil; seed++ {
			_, _ = fmt.Fprintf(&text, "%x ", inOrder(t, storyOf(over, seed, 200)).hash())
		}
	}
	return text.String()
}

// hashesTo is the environment variable that makes this program write hashes to a file.
const hashesTo = "BERTH_SIM_HASHES"

// The history does not depend on the process either: not on addresses of memory, on hashes of maps,
// or on the number of processors.
func TestASeedIsOneHistoryInAllProcesses(t *testing.T) {
	if name := os.Getenv(hashesTo); name != "" {
		require.NoError(t, os.WriteFile(name, []byte(hashes(t)), 0o600))
		return
	}
	name := t.TempDir() + "/hashes"
	command := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	command.Env = append(os.Environ(), hashesTo+"="+name, "GOMAXPROCS=1", report.File+"=")
	output, err := command.CombinedOutput()
	require.NoError(t, err, string(output))
	theirs, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, hashes(t), string(theirs))
}

package mutants

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/sched"
)

var (
	schedules = flag.String("mutants.schedules", "", "search these defects in the orders of test/sim: part of a name or of a guarantee, or all")
	ways      = flag.String("mutants.by", "random,pct,exhaustive", "the searches")
	budget    = flag.Duration("mutants.budget", 20*time.Second, "how long each of the three searches may take")
)

// searched are the defects that a world of test/sim can meet: they concern neither the kernel nor
// TLS, nor what the handlers there do not use. The others have tests of their own.
var searched = strings.Fields(`
	closed-twice end-told-late turns-overlap unread-forgotten reset-eats-input late-handler-loses-input
	last-write-dropped two-writes-swapped partial-write-forgotten buffer-returned-early
	dropped-while-it-ends terminated-overtakes-done failure-completes-as-success queue-one-too-long
	pause-ignored gate-open wake-up-lost panic-drops-writes permit-forgotten permit-too-many
	messages-count-as-traffic half-closed-for-ever shutdown-does-not-wait work-cut-off-in-silence
	write-lost-in-silence reset-reads-as-fin closed-overtakes-closing mail-lost-behind-closing
	room-not-told full-queue-not-written waiting-write-forgotten waiting-writes-mixed sender-not-told
	handler-at-work-is-idle pause-is-silence blocked-in-silence short-file-unbooked
	need-ignored incomplete-frame-unshown need-outlives-its-handler resume-overtakes-need
	become-drops-unread become-in-vain restarts-outlive-become`)

// handedOver are the defects of actors' turns and of the event loop's hand-over, which the stages
// of package actor can meet.
var handedOver = strings.Fields(`
	turns-overlap taken-over-turn-runs goexit-takes-the-worker mail-forgotten blocked-worker-unnoticed
	burst-by-the-queue blocked-for-ever called-back-once needed-as-it-ends dozes-beside-a-turn
	close-leaves-the-queue`)

// found is what a search prints; see search_test.go of test/sim and handover_test.go of actor.
type found struct {
	By        string  `json:"by"`
	Schedules int     `json:"schedules"`
	Rule      string  `json:"rule,omitempty"`
	Seconds   float64 `json:"seconds"`
	Steps     int     `json:"steps,omitempty"`
	Choices   int     `json:"choices,omitempty"`
	Records   int     `json:"records,omitempty"`
	Again     string  `json:"again,omitempty"`
}

func TestTheSearchedDefectsExist(t *testing.T) {
	for _, name := range slices.Concat(searched, handedOver) {
		assert.True(t, slices.ContainsFunc(defects, func(d defect) bool { return d.Name == name }), name)
	}
}

// N3 and N4: how many schedules each search needs for each defect, and how short the history is to
// which the random search's finding can be cut.
func TestSchedulesNeeded(t *testing.T) {
	if *schedules == "" {
		t.Skip("an hour: make schedules")
	}
	root, err := moduleRoot()
	require.NoError(t, err)
	began, chosen := time.Now(), 0
	met := map[string]int{}
	for _, d := range choose(*schedules) {
		if !slices.Contains(searched, d.Name) {
			continue
		}
		chosen++
		t.Run(d.Name, func(t *testing.T) {
			figures := map[string]any{}
			for _, f := range searches(t, root, d, "sim") {
				figures[f.By] = f.Schedules
				if f.Rule == "" {
					figures[f.By] = -f.Schedules
				} else {
					met[f.By]++
				}
				if f.Rule != "" && f.By == "random" {
					figures["rule"], figures["steps"], figures["choices"], figures["records"] = f.Rule, f.Steps, f.Choices, f.Records
					t.Logf("again: -sim.again '%s'", f.Again)
				}
			}
			report.Add(t, report.Row{ID: "N3", Holds: d.Guarantee, Figures: figures})
		})
	}
	report.Add(t, report.Row{
		ID: "N3", Holds: "the tests", Duration: time.Since(began),
		Figures: map[string]any{"defects": chosen, "met in random order": met["random"], "by priorities": met["pct"], "exhaustively": met["exhaustive"]},
		Skipped: "a search that takes longer than " + budget.String(),
	})
}

// N5: how many schedules of the event loop's hand-over each search needs for each defect.
func TestSchedulesOfTheHandOver(t *testing.T) {
	if *schedules == "" {
		t.Skip("some minutes: make schedules")
	}
	root, err := moduleRoot()
	require.NoError(t, err)
	began, met, figures := time.Now(), map[string]int{}, map[string]any{}
	for _, d := range choose(*schedules) {
		if !slices.Contains(handedOver, d.Name) {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			needed, found := map[string]any{}, false
			for _, f := range searches(t, root, d, "handover") {
				if needed[f.By] = f.Schedules; f.Rule == "" {
					needed[f.By] = -f.Schedules
					continue
				}
				found = true
				met[f.By]++
				t.Logf("%s: %d, %s; again: -handover.again '%s'", f.By, f.Schedules, f.Rule, f.Again)
			}
			assert.True(t, found, "no search meets it")
			figures[d.Name] = needed
		})
	}
	figures["defects"] = len(figures)
	figures["met in random order"], figures["by priorities"], figures["exhaustively"] = met["random"], met["pct"], met["exhaustive"]
	report.Add(t, report.Row{
		ID: "N5", Holds: "the tests", Duration: time.Since(began), Figures: figures,
		Skipped: "a search that takes longer than " + budget.String(),
	})
}

// programs are the tests that search, by the prefix of their flags.
var programs = map[string]struct{ folder, test string }{
	"sim":      {"test/sim", "^TestSearch$"},
	"handover": {"actor", "^TestHandOverSearch$"},
}

// searches builds a program of tests with the defect and runs the three searches.
func searches(t *testing.T, root string, d defect, prefix string) (all []found) {
	in := programs[prefix]
	dir := t.TempDir()
	path, err := sched.Overlay(root, dir, sched.Edit{File: d.File, Old: d.Old, New: d.New})
	require.NoError(t, err)
	program := filepath.Join(dir, "searches.test")
	build := exec.Command("go", "test", "-c", "-overlay", path, "-o", program, "./"+in.folder)
	build.Dir = root
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	for by := range strings.SplitSeq(*ways, ",") {
		run := exec.Command(program, "-test.run", in.test, "-test.timeout", "5m", "-"+prefix+".search", by, "-"+prefix+".budget", budget.String())
		run.Dir = filepath.Join(root, filepath.FromSlash(in.folder))
		run.Env = append(os.Environ(), report.File+"=", "GOMAXPROCS=1")
		output, _ := run.CombinedOutput() // the program may fail for what the defect leaves behind
		f := found{By: by}
		for line := range strings.Lines(string(output)) {
			if text, is := strings.CutPrefix(line, "FOUND "); is {
				require.NoError(t, json.Unmarshal([]byte(text), &f))
			}
		}
		if f.Schedules == 0 {
			t.Logf("%s: the search ends without a result: %.2000s", by, output)
		}
		all = append(all, f)
	}
	return all
}

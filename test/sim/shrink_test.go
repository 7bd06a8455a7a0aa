package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/sched"
)

// storyLine is all that a world is run again from.
type storyLine struct {
	seed   uint64
	steps  int         // of the driver
	over   string      // one of orderedNetworks
	policy string      // random, pct, or fixed: by choices
	kept   []int       // the steps that are made, of which those at the end have numbers from steps on; nil: all
	fixed  map[int]int // the choices that are not 0, by number, of those at which there was a choice
}

// String returns the line in one word, for a test and for -sim.again.
func (l storyLine) String() string {
	parts := []string{fmt.Sprintf("seed=%d", l.seed), fmt.Sprintf("steps=%d", l.steps), "policy=" + l.policy}
	if l.over != "" {
		parts = append(parts, "over="+l.over)
	}
	if l.kept != nil {
		kept := make([]string, len(l.kept))
		for i, k := range l.kept {
			kept[i] = strconv.Itoa(k)
		}
		parts = append(parts, "kept="+strings.Join(kept, ","))
	}
	if l.policy == "fixed" {
		var fixed []string
		for _, at := range slices.Sorted(maps.Keys(l.fixed)) {
			fixed = append(fixed, fmt.Sprintf("%d:%d", at, l.fixed[at]))
		}
		parts = append(parts, "order="+strings.Join(fixed, ","))
	}
	return strings.Join(parts, ";")
}

// parseLine reads what String has written.
func parseLine(text string) (l storyLine, err error) {
	number := func(text string) int {
		n, problem := strconv.Atoi(text)
		err = errors.Join(err, problem)
		return n
	}
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "seed":
			l.seed = uint64(number(value))
		case "steps":
			l.steps = number(value)
		case "over":
			l.over = value
		case "policy":
			l.policy = value
		case "kept":
			l.kept = []int{}
			for one := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' }) {
				l.kept = append(l.kept, number(one))
			}
		case "order":
			l.fixed = map[int]int{}
			for one := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' }) {
				at, choice, _ := strings.Cut(one, ":")
				l.fixed[number(at)] = number(choice)
			}
		default:
			err = errors.Join(err, fmt.Errorf("%q is no part of a world", part))
		}
	}
	return l, err
}

func (l storyLine) keptSteps() map[int]bool {
	if l.kept == nil {
		return nil
	}
	kept := map[int]bool{}
	for _, k := range l.kept {
		kept[k] = true
	}
	return kept
}

// order returns the policy of a run.
func (l storyLine) order() sched.Policy {
	switch l.policy {
	case "fixed":
		return &fixed{choices: l.fixed}
	case "pct":
		const depth, each = 3, 8
		return sched.PCT(l.seed, depth, each*max(1, l.steps))
	}
	return sched.Random(l.seed)
}

// fixed takes the first of all, except where a choice is given.
type fixed struct {
	choices map[int]int
	next    int
}

// Pick implements sched.Policy.
func (f *fixed) Pick(_ int, ready []*sched.Step) int {
	if len(ready) == 1 {
		return 0
	}
	choice := f.choices[f.next]
	f.next++
	return min(choice, len(ready)-1)
}

// kind is what two failures must have in common to be the same one.
func (r run) kind() string {
	switch {
	case len(r.violations) > 0:
		return fmt.Sprint(r.violations[0].Rule)
	case r.err != nil:
		return "error"
	}
	return ""
}

// mostRuns bounds the search for a shorter history.
const mostRuns = 400

// shrink fails the test with the shortest history that it finds: the fewest steps of the driver,
// then the fewest choices that are not the first one. It prints it as a test.
func (r run) shrink(t *testing.T) {
	t.Helper()
	least := r.shortest(t)
	t.Errorf("seed %d fails; the shortest history of %d steps and %d choices, as a test:\n%s\nagain: "+
		"go test ./test/sim -count=1 -run '^TestSim$' -sim.again '%s'",
		r.seed, len(least.story.kept), len(least.story.fixed), least.story.code(least.kind()), least.story)
	least.show(t)
}

// code returns a test that runs the world again.
func (l storyLine) code(kind string) string {
	return fmt.Sprintf("// It was found by seed %d: %s.\nfunc TestWorld%dAgain(t *testing.T) {\n\treplay(t, %q)\n}", l.seed, kind, l.seed, l.String())
}

// replay runs a world again. It fails if the world does.
func replay(t *testing.T, line string) {
	t.Helper()
	l, err := parseLine(line)
	require.NoError(t, err)
	r := inOrder(t, l)
	t.Logf("%d records, %d operations, hash %x", len(r.records), r.operations, r.hash())
	if r.failed() {
		r.show(t)
	}
}

func (r run) shortest(t *testing.T) run {
	runs, kind := 0, r.kind()
	// fails runs a candidate, and takes it if it fails in the same way.
	fails := func(l storyLine) bool {
		if runs++; runs > mostRuns {
			return false
		}
		candidate := inOrder(t, l)
		if candidate.kind() != kind {
			return false
		}
		r = candidate
		return true
	}
	if r.story.kept == nil {
		l := r.story
		for n := range l.steps + mostEndSteps {
			l.kept = append(l.kept, n)
		}
		if !fails(l) {
			return r
		}
	}
	r.story.kept = fewest(r.story.kept, func(kept []int) bool {
		l := r.story
		l.kept = kept
		return fails(l)
	})
	l := r.story
	l.policy, l.fixed = "fixed", map[int]int{}
	for at, choice := range sched.Indexes(r.taken) {
		if choice != 0 {
			l.fixed[at] = choice
		}
	}
	if !fails(l) {
		return r
	}
	fewest(slices.Sorted(maps.Keys(l.fixed)), func(places []int) bool {
		shorter := r.story
		shorter.fixed = map[int]int{}
		for _, at := range places {
			shorter.fixed[at] = l.fixed[at]
		}
		return fails(shorter)
	})
	if shorter := fewest(r.story.kept, func(kept []int) bool { // once more: the order is another one
		l := r.story
		l.kept = kept
		return fails(l)
	}); len(shorter) < len(r.story.kept) {
		r.story.kept = shorter
	}
	return r
}

// mostEndSteps is how many steps there are at most while the listener ends.
const mostEndSteps = 20

// fewest leaves out of a list as much as it can while it still fails, in pieces that become
// smaller: first its second half, and at last single elements (delta debugging; Zeller, 2002).
func fewest(list []int, fails func([]int) bool) []int {
	for size := (len(list) + 1) / 2; size > 0 && len(list) > 0; {
		shorter := false
		for from := len(list) - len(list)%size; from >= 0; from -= size {
			if from >= len(list) {
				continue
			}
			without := append([]int{}, list[:from]...) // not nil, which would be all
			without = append(without, list[min(from+size, len(list)):]...)
			if fails(without) {
				list, shorter = without, true
			}
		}
		if size == 1 && !shorter {
			break
		}
		size = max(1, size/2)
	}
	return list
}

func TestFewestFindsTheElementsThatMatter(t *testing.T) {
	list := make([]int, 100)
	for i := range list {
		list[i] = i
	}
	runs := 0
	got := fewest(list, func(l []int) bool {
		runs++
		return slices.Contains(l, 17) && slices.Contains(l, 80)
	})
	require.Equal(t, []int{17, 80}, got)
	require.Less(t, runs, 60)
	least := fewest(list, func([]int) bool { return true })
	require.Empty(t, least)
	require.NotNil(t, least)
}

func TestAStoryLineIsReadAsItIsWritten(t *testing.T) {
	for _, l := range []storyLine{
		{seed: 7, steps: 500, policy: "random"},
		{seed: 8, steps: 20, policy: "pct", kept: []int{}},
		{seed: 1 << 40, steps: 20, policy: "fixed", kept: []int{1, 5, 21}, fixed: map[int]int{3: 1, 40: 2}},
	} {
		read, err := parseLine(l.String())
		require.NoError(t, err)
		require.Equal(t, l, read)
	}
	_, err := parseLine("sead=1")
	require.Error(t, err)
}

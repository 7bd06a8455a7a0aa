package tcpactor

import (
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/sched"
)

// N5: the event loop's hand-over in many orders. Its workers, its monitor and a poll set in memory
// run in steps of test/sched, and so do senders, handlers that block, and a Close.

var (
	handOverOrders = flag.Int("handover.orders", 0, "how many orders of each small world are run at most; 0: a few of some worlds")
	handOverSeeds  = flag.Int("handover.seeds", 0, "how many worlds of moves at random are run, in random order and by priorities; 0: a few")
	handOverAgain  = flag.String("handover.again", "", "run this world alone, as a failure has printed it")
)

// mostSteps ends a run that goes on for ever.
const mostSteps = 50_000

// played is what one run gave.
type played struct {
	stage *stage
	taken []sched.Choice
	err   error
}

// failure returns what is not as it must be.
func (p played) failure() string {
	switch {
	case p.err != nil:
		return p.err.Error()
	case p.stage != nil:
		return p.stage.broken
	}
	return ""
}

func (p played) story() string {
	lines := make([]string, len(p.stage.history))
	for i, line := range p.stage.history {
		lines[i] = line.String()
	}
	return strings.Join(lines, "\n")
}

func (p played) hash() uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, p.story(), p.taken)
	return h.Sum64()
}

// playOnce runs a world once, in a bubble.
func playOnce(o sched.Options, world func(*sched.Run) *stage) (p played) {
	o.MostSteps = mostSteps
	run, err := sched.Do(o, func(run *sched.Run) { p.stage = world(run) })
	p.err = err
	if run != nil {
		p.taken = run.Taken()
	}
	return p
}

// inABubble runs f in a bubble. A deadlock there is an error.
func inABubble(t *testing.T, f func()) (err error) {
	defer func() {
		if deadlock := recover(); deadlock != nil {
			stacks := make([]byte, 1<<20)
			err = fmt.Errorf("%v\n%s", deadlock, stacks[:runtime.Stack(stacks, true)])
		}
	}()
	synctest.Test(t, func(*testing.T) { f() })
	return nil
}

// tally sums up runs.
type tally struct {
	orders, turns, handOvers, steps int
	longest                         map[int]time.Duration
}

func (y *tally) add(p played) {
	y.orders++
	y.turns += p.stage.turns
	y.handOvers += p.stage.handOvers
	y.steps += len(p.taken)
	for blocked, waited := range p.stage.longest {
		y.longest[blocked] = max(y.longest[blocked], waited)
	}
}

func newTally() *tally { return &tally{longest: map[int]time.Duration{}} }

// exploration runs one small world in every order, until one fails.
type exploration struct {
	played
	number   int
	world    smallStage
	explorer sched.Explorer
	whole    bool // there is no other order
}

func (x *exploration) runs() int { return x.explorer.Runs + x.explorer.Redundant }

// explore goes on until there were so many runs, or one has failed, or there is no other order.
func (x *exploration) explore(t *testing.T, most int, y *tally) {
	err := inABubble(t, func() {
		for x.failure() == "" && !x.whole && x.runs() < most {
			if x.whole = !x.explorer.Next(); x.whole {
				x.err = x.explorer.Err()
				return
			}
			x.once(&x.explorer, &x.explorer)
			if x.failure() == "" {
				y.add(x.played)
			}
		}
	})
	if x.failure() == "" {
		x.err = err
	}
}

func (x *exploration) once(policy sched.Policy, e *sched.Explorer) {
	e.Pause()
	x.played = playOnce(sched.Options{Policy: policy}, func(run *sched.Run) *stage {
		return x.world.play(run, func(begins bool) {
			if begins {
				e.Resume()
			} else {
				e.Pause()
			}
		})
	})
}

func (x *exploration) again() string {
	return "small " + fmt.Sprint(x.number) + " " + strings.Trim(strings.ReplaceAll(fmt.Sprint(x.explorer.Path()), " ", ","), "[]")
}

func fewer(full bool, what string) string {
	if full {
		return ""
	}
	return what
}

// Every order of two moves on three actors, from eight beginnings, and of all that they set off.
func TestTheHandOverInEveryOrderOfTwoMoves(t *testing.T) {
	began, worlds, every, most := time.Now(), smallStages(), 40, 12
	if *handOverOrders > 0 {
		every, most = 1, *handOverOrders
	}
	y, explored, whole, redundant, deepest := newTally(), 0, 0, 0, 0
	for i := 0; i < len(worlds); i += every {
		x := &exploration{number: i, world: worlds[i]}
		x.explore(t, most, y)
		explored++
		if x.whole {
			whole++
		}
		redundant, deepest = redundant+x.explorer.Redundant, max(deepest, x.explorer.Deepest)
		if broken := x.failure(); broken != "" {
			t.Errorf("%v: %s\n-handover.again '%s'", x.world, broken, x.again())
		}
	}
	report.Add(t, report.Row{
		ID: "N5", Holds: "G1, G14", Duration: time.Since(began),
		Figures: map[string]any{
			"worlds": explored, "explored whole": whole, "orders": y.orders, "choices in one": deepest,
			"turns": y.turns, "hand-overs": y.handOvers, "ticks waited": y.ticks(),
		},
		Skipped: fewer(every == 1, fmt.Sprintf("one world of %d, at most %d orders of each", every, most)),
	})
}

// ticks returns how long a message waited at most, by the number of turns that blocked meanwhile.
func (y *tally) ticks() map[string]any {
	all := map[string]any{}
	for blocked, waited := range y.longest {
		if waited > 0 {
			all[fmt.Sprint(blocked)] = float64(waited) / float64(tick)
		}
	}
	return all
}

// policyOf returns the policy that a search has for a seed.
func policyOf(by string, seed uint64) sched.Policy {
	if by == "pct" {
		return sched.PCT(seed, 3, 400)
	}
	return sched.Random(seed)
}

const largeActs = 40

func playLarge(by string, seed uint64, strict bool) played {
	return playOnce(sched.Options{Policy: policyOf(by, seed), Seed: seed, Strict: strict}, func(run *sched.Run) *stage {
		return large(run, seed, largeActs)
	})
}

// Forty moves at random on up to five actors, in random order and by priorities.
func TestTheHandOverInRandomOrdersAndByPriorities(t *testing.T) {
	began, seeds := time.Now(), 150
	if *handOverSeeds > 0 {
		seeds = *handOverSeeds
	}
	y := newTally()
	for _, by := range []string{"random", "pct"} {
		err := inABubble(t, func() {
			for seed := uint64(1); seed <= uint64(seeds); seed++ {
				p := playLarge(by, seed, false)
				if broken := p.failure(); broken != "" {
					t.Errorf("%s\n-handover.again '%s %d'", broken, by, seed)
					return
				}
				y.add(p)
			}
		})
		require.NoError(t, err)
	}
	report.Add(t, report.Row{
		ID: "N5", Holds: "G1, G14", Seeds: fmt.Sprintf("1-%d", seeds), Duration: time.Since(began),
		Figures: map[string]any{
			"worlds": y.orders, "moves": y.orders * largeActs, "steps": y.steps, "turns": y.turns, "hand-overs": y.handOvers, "ticks waited": y.ticks(),
		},
		Skipped: fewer(*handOverSeeds > 0, "small share"),
	})
}

// A seed is one history, and no goroutine takes part that was not picked.
func TestASeedIsOneHistoryOfTheEventLoop(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		for _, by := range []string{"random", "pct"} {
			var hashes []uint64
			for _, strict := range []bool{true, false} {
				require.NoError(t, inABubble(t, func() {
					p := playLarge(by, seed, strict)
					require.Empty(t, p.failure(), "%s %d", by, seed)
					hashes = append(hashes, p.hash())
				}))
			}
			assert.Equal(t, hashes[0], hashes[1], "%s %d", by, seed)
		}
	}
}

func TestAgain(t *testing.T) {
	if *handOverAgain == "" {
		t.Skip("with -handover.again")
	}
	var by, path string
	var number uint64
	_, err := fmt.Sscan(*handOverAgain, &by, &number, &path)
	if by != "small" {
		_, err = fmt.Sscan(*handOverAgain, &by, &number)
	}
	require.NoError(t, err)
	err = inABubble(t, func() {
		var p played
		if by == "small" {
			var choices []int
			for text := range strings.SplitSeq(path, ",") {
				var choice int
				_, err := fmt.Sscan(text, &choice)
				require.NoError(t, err)
				choices = append(choices, choice)
			}
			world := smallStages()[number]
			t.Log(world)
			r := &recall{Policy: sched.Replay(choices)}
			p = playOnce(sched.Options{Policy: r}, func(run *sched.Run) *stage {
				return world.play(run, func(begins bool) { r.explored = begins })
			})
		} else {
			p = playLarge(by, number, false)
		}
		t.Log(p.story())
		if broken := p.failure(); broken != "" {
			t.Error(broken)
		}
	})
	require.NoError(t, err)
}

// recall repeats the choices that an Explorer made. Outside of what it explores the first step is
// taken.
type recall struct {
	sched.Policy
	explored bool
}

func (r *recall) Pick(step int, ready []*sched.Step) int {
	if !r.explored {
		return 0
	}
	return r.Policy.Pick(step, ready)
}

var (
	handOverSearch = flag.String("handover.search", "", "run worlds until one fails, in random order, by priorities (pct) or exhaustively, and say how many it took")
	handOverBudget = flag.Duration("handover.budget", 20*time.Second, "how long to search")
)

// handOverFound is the result of a search, which package mutants reads.
type handOverFound struct {
	By        string  `json:"by"`
	Schedules int     `json:"schedules"`      // that were run, the failing one included
	Rule      string  `json:"rule,omitempty"` // what is broken; none: nothing was found
	Seconds   float64 `json:"seconds"`
	Again     string  `json:"again,omitempty"` // for -handover.again
}

func (f handOverFound) print(t *testing.T) {
	text, err := json.Marshal(f)
	require.NoError(t, err)
	fmt.Printf("\nFOUND %s\n", text) // also if the bubble leaves goroutines behind
}

// TestHandOverSearch is run by package mutants, on code with a defect.
func TestHandOverSearch(t *testing.T) {
	if *handOverSearch == "" {
		t.Skip("a part of the search for defects that were put in: make schedules")
	}
	began := time.Now()
	found := handOverFound{By: *handOverSearch}
	if found.By == "exhaustive" {
		searchSmallStages(t, &found, began)
	} else {
		searchLarge(t, &found, began)
	}
	found.Seconds = time.Since(began).Seconds()
	found.print(t)
}

func searchLarge(t *testing.T, found *handOverFound, began time.Time) {
	for seed := uint64(1); time.Since(began) < *handOverBudget; seed++ {
		var p played
		err := inABubble(t, func() {
			p = playLarge(found.By, seed, false)
			found.note(p.failure(), fmt.Sprint(found.By, " ", seed), t)
		})
		if found.Schedules++; err != nil {
			found.note(err.Error(), fmt.Sprint(found.By, " ", seed), t)
		}
		if found.Rule != "" {
			return
		}
	}
}

// note prints a failure at once: the bubble may not end.
func (f *handOverFound) note(failure, again string, t *testing.T) {
	if failure == "" || f.Rule != "" {
		return
	}
	f.Rule, _, _ = strings.Cut(failure, "\n")
	f.Again = again
	early := *f
	early.Schedules++
	early.print(t)
}

// searchSmallStages explores all small worlds in turn: first with one delay, then with two, and so
// on.
func searchSmallStages(t *testing.T, found *handOverFound, began time.Time) {
	worlds, y := smallStages(), newTally()
	for delays := 1; ; delays++ {
		for i := range worlds {
			if time.Since(began) > *handOverBudget {
				return
			}
			number := i * stride % len(worlds)
			x := &exploration{number: number, world: worlds[number], explorer: sched.Explorer{MostDelays: delays}}
			x.explore(t, 32*delays*delays, y)
			found.Schedules += x.runs()
			if broken := x.failure(); broken != "" {
				found.note(broken, x.again(), t)
				found.Schedules++ // Next has not counted it
				return
			}
		}
	}
}

// stride is a prime that no number of worlds is a multiple of: so worlds with different beginnings
// come one after the other.
const stride = 7927

package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"testing"
	"time"
)

var (
	search = flag.String("sim.search", "", "run worlds until one fails, in random order, by priorities (pct) or exhaustively, and say how many it took")
	budget = flag.Duration("sim.budget", 20*time.Second, "how long to search")
)

// Found is the result of a search, which package mutants reads.
type Found struct {
	By        string  `json:"by"`
	Schedules int     `json:"schedules"`         // that were run, the failing one included
	Rule      string  `json:"rule,omitempty"`    // that was broken; none: nothing was found
	Seconds   float64 `json:"seconds"`           // of real time
	Steps     int     `json:"steps,omitempty"`   // of the driver in the shortest failing history
	Choices   int     `json:"choices,omitempty"` // of its order, that are not the first one
	Records   int     `json:"records,omitempty"` // of it
	Again     string  `json:"again,omitempty"`   // for -sim.again
}

// FoundLine marks the line with the result.
const FoundLine = "FOUND "

// TestSearch is run by package mutants, on code with a defect.
func TestSearch(t *testing.T) {
	if *search == "" {
		t.Skip("a part of the search for defects that were put in: make schedules")
	}
	began := time.Now()
	found := Found{By: *search}
	switch *search {
	case "random", "pct":
		searchWorlds(t, &found, began)
	case "exhaustive":
		searchSmall(t, &found, began)
	default:
		t.Fatalf("no search %q", *search)
	}
	found.print(t)
}

func (f Found) print(t *testing.T) {
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\n%s%s\n", FoundLine, text) // also if the bubble leaves goroutines behind
}

func searchWorlds(t *testing.T, found *Found, began time.Time) {
	for n := uint64(1); time.Since(began) < *budget; n++ {
		r := inOrder(t, storyLine{seed: n, steps: 200, policy: *search})
		found.Schedules, found.Seconds = int(n), time.Since(began).Seconds()
		if r.failed() {
			found.Rule = r.kind()
			found.print(t) // it may not survive what follows
			r = r.shortest(t)
			found.Steps, found.Choices, found.Records, found.Again = len(r.story.kept), len(r.story.fixed), len(r.records), r.story.String()
			return
		}
	}
}

// searchSmall explores all small worlds in turn: first every order with one delay, then every one
// with two, and so on.
func searchSmall(t *testing.T, found *Found, began time.Time) {
	const atATime, mostOfEach = 20, 2000
	for delays := 1; ; delays++ {
		var worlds []*exploration
		for _, moves := range pairsOfMoves() {
			x := newExploration(moves)
			x.explorer.MostDelays = delays
			worlds = append(worlds, x)
		}
		for most := atATime; most <= mostOfEach; most += atATime {
			for _, x := range worlds {
				if time.Since(began) > *budget {
					return
				}
				before := x.runs()
				x.explore(t, most)
				found.Schedules += x.runs() - before
				found.Seconds = time.Since(began).Seconds()
				if x.failed() {
					found.Schedules++ // Next has not counted it
					found.Rule, found.Records, found.Again = x.kind(), len(x.records), fmt.Sprint(x.moves, x.explorer.Path())
					return
				}
			}
		}
	}
}

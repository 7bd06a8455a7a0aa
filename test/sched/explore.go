package sched

import (
	"fmt"
	"slices"
)

// Explorer is a Policy that takes another way in every run, until it has taken them all. It keeps
// no states: a run repeats the choices of the one before up to the last point where another choice
// is left, and makes that one.
//
//	for e := new(Explorer); e.Next(); {
//		Do(Options{Policy: e}, world)
//	}
//
// Orders that differ only in the order of independent steps count as one, and one of them is run:
// it keeps sleep sets (Godefroid, 1996). Two steps are independent if their threads have different
// labels, of which none is 0. The world declares by its labels what is independent. Nothing checks
// that.
//
// The world must be the same in every run, as far as the same choices are made.
type Explorer struct {
	// MostDelays bounds how often a run passes over a step (delay bounding; Emmi and others, POPL
	// 2011): without delays a thread goes on as long as it can, and then the next one by number
	// does, in a circle. Each step that would be taken, and is not, is a delay. 0: there is no
	// bound. With a bound, sleep sets are not kept, as they could leave out orders that the bound
	// allows.
	MostDelays int

	// Runs counts the runs, without the Redundant ones. These were begun before it was known that
	// an order that differs in independent steps only has been run.
	Runs, Redundant int
	// Deepest is the largest number of choices in one run, of one step or among several.
	Deepest int

	paused    bool
	path      []*node
	depth     int
	begun     bool
	redundant bool
	err       error
}

// node is the point before a step.
type node struct {
	ready  []mark
	chosen int
	asleep []mark // steps that need not be taken here
	delays int    // up to here
	before mark   // the step before
}

// mark names a step within one run up to a point.
type mark struct{ thread, number, label int }

func (m mark) independent(of mark) bool {
	return m.label != 0 && of.label != 0 && m.label != of.label
}

// Next reports whether there is a way that was not taken, and makes ready for it.
func (e *Explorer) Next() bool {
	if e.err != nil {
		return false
	}
	if !e.begun {
		e.begun = true
		e.reset()
		return true
	}
	e.Deepest = max(e.Deepest, e.depth)
	if e.redundant {
		e.Redundant++
	} else {
		e.Runs++
	}
	for len(e.path) > 0 {
		n := e.path[len(e.path)-1]
		n.asleep = append(n.asleep, n.ready[n.chosen])
		if n.chosen = e.free(n); n.chosen >= 0 {
			e.reset()
			return true
		}
		e.path = e.path[:len(e.path)-1]
	}
	return false
}

// Pause makes the run take the first of all steps until Resume: what is not explored.
func (e *Explorer) Pause() { e.paused = true }

// Resume ends Pause.
func (e *Explorer) Resume() { e.paused = false }

func (e *Explorer) reset() { e.depth, e.redundant = 0, false }

// Err returns an error if the world was not the same in every run.
func (e *Explorer) Err() error { return e.err }

// free returns the index of a step that is not asleep, and within the bound; -1: there is none. It
// is the one with the fewest delays.
func (e *Explorer) free(n *node) int {
	best := -1
	for i, m := range n.ready {
		switch {
		case slices.Contains(n.asleep, m), e.MostDelays > 0 && n.delays+n.delayed(i) > e.MostDelays:
		case best < 0 || e.MostDelays > 0 && n.delayed(i) < n.delayed(best):
			best = i
		}
	}
	return best
}

// delayed returns how many steps are passed over if the one with the given index is taken.
func (n *node) delayed(index int) int {
	first := slices.IndexFunc(n.ready, func(m mark) bool { return m.thread >= n.before.thread })
	return (index - max(0, first) + len(n.ready)) % len(n.ready)
}

// Pick implements Policy.
func (e *Explorer) Pick(_ int, ready []*Step) int {
	if e.redundant || e.paused {
		return 0
	}
	if e.depth == len(e.path) {
		n := e.arrive(ready)
		if n.chosen < 0 {
			e.redundant = true
			return 0
		}
		e.path = append(e.path, n)
	}
	n := e.path[e.depth]
	e.depth++
	if len(ready) != len(n.ready) || marks(ready)[n.chosen] != n.ready[n.chosen] {
		e.err = fmt.Errorf("sched: the world differs from the run before at choice %d: %v can run, and then it was %v",
			e.depth, marks(ready), n.ready)
		e.redundant = true
		return 0
	}
	return n.chosen
}

// arrive makes the node behind the last one.
func (e *Explorer) arrive(ready []*Step) *node {
	n := &node{ready: marks(ready)}
	if len(e.path) > 0 {
		parent := e.path[len(e.path)-1]
		taken := parent.ready[parent.chosen]
		n.before, n.delays = taken, parent.delays+parent.delayed(parent.chosen)
		if e.MostDelays == 0 {
			for _, m := range parent.asleep {
				if m.independent(taken) {
					n.asleep = append(n.asleep, m)
				}
			}
		}
	}
	n.chosen = e.free(n)
	return n
}

// Path returns the choices of the run that was made last, for Replay.
func (e *Explorer) Path() (choices []int) {
	for _, n := range e.path[:min(e.depth, len(e.path))] {
		if len(n.ready) > 1 {
			choices = append(choices, n.chosen)
		}
	}
	return choices
}

func marks(ready []*Step) []mark {
	all := make([]mark, len(ready))
	for i, s := range ready {
		all[i] = mark{s.Thread, s.Number, s.Label}
	}
	return all
}

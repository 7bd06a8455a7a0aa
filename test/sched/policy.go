package sched

import "math/rand/v2"

// Policy decides what runs next.
type Policy interface {
	// Pick returns the index of the one that runs next. step counts from 0; ready has at least one,
	// in the order of their threads.
	Pick(step int, ready []*Step) int
}

// Random picks any of those that are ready, each as likely as the others.
func Random(seed uint64) Policy { return &random{rand.New(rand.NewPCG(seed, 1))} }

type random struct{ *rand.Rand }

func (p *random) Pick(_ int, ready []*Step) int {
	if len(ready) == 1 {
		return 0
	}
	return p.IntN(len(ready))
}

// PCT picks by priority, as probabilistic concurrency testing does (Burckhardt and others, ASPLOS
// 2010): every thread has a random priority, and the one with the highest runs. At depth-1 steps,
// drawn from the first length ones, the thread that would run becomes the last of all. A defect
// that needs depth steps in a certain order, of n threads, is met with a probability of at least
// 1/(n*length^(depth-1)).
func PCT(seed uint64, depth, length int) Policy {
	rng := rand.New(rand.NewPCG(seed, 2))
	p := &pct{rng: rng, priorities: map[int]float64{}, changes: map[int]bool{}}
	for range depth - 1 {
		p.changes[rng.IntN(max(1, length))] = true
	}
	return p
}

type pct struct {
	rng        *rand.Rand
	priorities map[int]float64
	changes    map[int]bool
	lowered    float64 // below all others; the one lowered last is the lowest
}

func (p *pct) Pick(step int, ready []*Step) int {
	best := p.best(ready)
	if p.changes[step] {
		p.lowered--
		p.priorities[ready[best].Thread] = p.lowered
		best = p.best(ready)
	}
	return best
}

func (p *pct) best(ready []*Step) (best int) {
	for i, s := range ready {
		if _, known := p.priorities[s.Thread]; !known {
			p.priorities[s.Thread] = p.rng.Float64()
		}
		if p.priorities[s.Thread] > p.priorities[ready[best].Thread] {
			best = i
		}
	}
	return best
}

// Replay picks what was picked before, by index; after that, the first.
func Replay(choices []int) Policy { return &replay{choices: choices} }

type replay struct {
	choices []int
	next    int
}

func (p *replay) Pick(_ int, ready []*Step) int {
	if p.next >= len(p.choices) || len(ready) == 1 {
		return 0
	}
	index := p.choices[p.next]
	p.next++
	return min(index, len(ready)-1)
}

// Indexes returns the choices in which there was something to choose, for Replay.
func Indexes(taken []Choice) (choices []int) {
	for _, c := range taken {
		if c.Of > 1 {
			choices = append(choices, c.Index)
		}
	}
	return choices
}

package tcpactor

// policy decides how many workers a crew's load is worth. More are not better: a worker that only takes turns away from
// another costs wake-ups and cache misses. So it tries one more while the crew never sleeps, and keeps it only if more gets done.
//
// It is fed one tick at a time and knows nothing of time or goroutines.
type policy struct {
	most   int    // workers
	target int    // workers now
	runs   uint64 // turns run, at the last tick

	ticks      int    // in this window
	asleep     int    // of those, how many found the crew asleep
	windowRuns uint64 // turns run at the beginning of this window

	full   int    // windows in a row without a tick that found it asleep
	trial  bool   // the last worker was added to see whether it helps
	before uint64 // turns per window before it was
	rest   int    // windows to wait before the next trial
	wait   int    // how many the next failed trial makes it wait
}

const (
	window    = 8   // ticks
	fullFor   = 2   // windows without sleep before one more is tried
	firstWait = 4   // windows, doubled by each failed trial
	mostWait  = 512 // windows: about 8 s
)

func newPolicy(most int) policy { return policy{most: max(most, 1), target: 1, wait: firstWait} }

// tick takes one look at the crew and returns how many workers it should have.
func (p *policy) tick(runs uint64, asleep bool) int {
	p.runs = runs
	p.ticks++
	if asleep {
		p.asleep++
	}
	if p.ticks == window {
		p.judge(runs - p.windowRuns)
		p.ticks, p.asleep, p.windowRuns = 0, 0, runs
	}
	return p.target
}

// judge decides at the end of a window in which done turns were run.
func (p *policy) judge(done uint64) {
	if p.asleep == 0 {
		p.full++
	} else {
		p.full = 0
	}
	p.rest = max(0, p.rest-1)
	switch {
	case p.trial:
		p.trial = false
		if p.worthIt(done) {
			p.wait = firstWait
			return
		}
		p.target--
		p.rest = p.wait
		p.wait = min(2*p.wait, mostWait)
	case p.asleep >= window/2 && p.target > 1:
		p.target--
	case p.full >= fullFor && p.rest == 0 && p.target < p.most:
		p.trial, p.before = true, done
		p.target++
	}
}

// worthIt: the new worker must bring at least a quarter of what each of the others does.
func (p *policy) worthIt(done uint64) bool {
	others := uint64(p.target - 1)
	return done*4*others >= p.before*(4*others+1)
}

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
	trial  int    // windows left until it is decided whether the last worker helps; 0: none is on trial
	with   uint64 // turns run in this trial's windows so far
	before uint64 // turns run in as many windows before it
	last   uint64 // turns run in the window before this one
	rest   int    // windows to wait before the next trial
	wait   int    // how many the next failed trial makes it wait
}

const (
	window    = 8   // ticks
	fullFor   = 2   // windows without sleep before one more is tried, and for how many it is: one alone is too noisy
	firstWait = 4   // windows, doubled by each failed trial
	mostWait  = 512 // windows: about 8 s

	mostMissed = 4 * window // ticks: more means that the whole process stood still
)

func newPolicy(most int) policy { return policy{most: max(most, 1), target: 1, wait: firstWait} }

// ticksOf is n ticks of which only the last was looked at. A monitor is late where all processors have work: as the crew did not sleep then, and
// the turns are spread evenly, as far as anybody knows. Otherwise a busy crew would be judged by the moments in which it was not.
func (p *policy) ticksOf(n int, runs uint64, asleep bool) int {
	n = min(n, mostMissed)
	before := p.runs
	for i := 1; i < n; i++ {
		p.tick(before+(runs-before)*uint64(i)/uint64(n), false)
	}
	return p.tick(runs, asleep)
}

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
	before := p.last + done
	p.last = done
	switch {
	case p.trial > 1:
		p.trial--
		p.with += done
	case p.trial == 1:
		p.trial = 0
		if p.worthIt(p.with + done) {
			p.wait = firstWait
			return
		}
		p.target--
		p.rest = p.wait
		p.wait = min(2*p.wait, mostWait)
	case p.asleep >= window/2 && p.target > 1:
		p.target--
	case p.full >= fullFor && p.rest == 0 && p.target < p.most:
		p.trial, p.with, p.before = fullFor, 0, before
		p.target++
	}
}

// worthIt: the new worker must bring at least a quarter of what each of the others does.
func (p *policy) worthIt(done uint64) bool {
	others := uint64(p.target - 1)
	return done*4*others >= p.before*(4*others+1)
}

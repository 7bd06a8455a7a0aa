package tcpactor

// policy decides how many workers pay off for an event loop's load. More workers are not always
// better: a worker that only takes turns away from another costs wake-ups and cache misses. So
// policy tries one more while the event loop never sleeps, and keeps it only if more turns are run.
// On a shared machine that may be chance, so it keeps the worker only if fewer turns are run once
// it is taken away again.
//
// It gets one tick at a time and does not depend on time or goroutines.
type policy struct {
	most   int    // workers
	target int    // workers now
	runs   uint64 // turns run, at the last tick

	ticks      int    // in this window
	asleep     int    // of those, how many found the event loop asleep
	windowRuns uint64 // turns run at the beginning of this window

	full   int    // windows in a row without a tick that found it asleep
	trial  int    // windows left until it is decided whether the last worker helps; 0: none is on trial
	doubt  bool   // the last worker brought more, once; the next trial is without it
	during uint64 // turns run in this trial's windows so far
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

// ticksOf stands for n ticks of which only the last was looked at. A monitor is late when all
// processors have work. So it is assumed that the event loop did not sleep in the missed ticks, and
// that the turns were spread evenly. Otherwise a busy loop would be judged by its idle moments
// only.
func (p *policy) ticksOf(n int, runs uint64, asleep bool) int {
	n = min(n, mostMissed)
	before := p.runs
	for i := 1; i < n; i++ {
		p.tick(before+(runs-before)*uint64(i)/uint64(n), false)
	}
	return p.tick(runs, asleep)
}

// tick takes one look at the event loop and returns how many workers it should have.
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
		p.during += done
	case p.trial == 1:
		p.trial = 0
		p.conclude(p.during + done)
	case p.asleep >= window/2 && p.target > 1:
		p.target--
		p.doubt = false
	case p.full >= fullFor && p.rest == 0:
		p.try(before)
	}
}

// try begins a trial: without a worker that is in doubt, else with one more. before is how many
// turns were run in as many windows.
func (p *policy) try(before uint64) {
	switch {
	case p.doubt:
		p.target--
	case p.target < p.most:
		p.target++
	default:
		return
	}
	p.trial, p.during, p.before = fullFor, 0, before
}

// conclude ends a trial in which done turns were run.
func (p *policy) conclude(done uint64) {
	switch {
	case p.doubt && worthIt(p.before, done, p.target):
		p.target++
		p.doubt, p.wait = false, firstWait
	case !p.doubt && worthIt(done, p.before, p.target-1):
		p.doubt, p.rest = true, firstWait
	default:
		if !p.doubt {
			p.target--
		}
		p.doubt, p.rest, p.wait = false, p.wait, min(2*p.wait, mostWait)
	}
}

// worthIt: a worker must bring at least a quarter of what each of the others does.
func worthIt(with, without uint64, others int) bool {
	n := uint64(others)
	return with*4*n >= without*(4*n+1)
}

package tcpactor

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// load feeds a policy window by window, as the monitor does tick by tick.
type load struct {
	*policy
	total uint64
}

func newLoad(most int) *load {
	p := newPolicy(most)
	return &load{policy: &p}
}

// window is one in which done turns were run and asleep ticks found the event loop asleep. It
// returns the workers there should be.
func (l *load) window(done uint64, asleep int) int {
	for i := range window {
		if i == window-1 {
			l.total += done
		}
		l.tick(l.total, i < asleep)
	}
	return l.target
}

// busy is a number of windows without sleep, in which each worker runs perWorker turns.
func (l *load) busy(windows int, perWorker uint64) int {
	for range windows {
		l.window(perWorker*uint64(l.target), 0)
	}
	return l.target
}

func TestOneWorkerMoreIsTriedAfterTwoWindowsWithoutSleepAndNotBefore(t *testing.T) {
	l := newLoad(2)
	for range fullFor*window - 1 {
		l.total += 100
		require.Equal(t, 1, l.tick(l.total, false))
	}
	l.total += 100
	assert.Equal(t, 2, l.tick(l.total, false))
}

func TestALateMonitorCountsTheTicksThatItMissed(t *testing.T) {
	for d, ticks := range map[time.Duration]int{0: 1, tick / 2: 1, tick: 1, tick * 3 / 2: 2, 5 * tick: 5, 5*tick - 1: 5} {
		assert.Equal(t, ticks, ticksIn(d), "%v", d)
	}
}

// With all processors at work a monitor gets its turn when one of them runs out of it, and finds
// the event loop asleep.
func TestWhereTheMonitorIsLateTheEventLoopIsNotJudgedByTheMomentOfItsLook(t *testing.T) {
	l := newLoad(2)
	l.busy(fullFor, 100)
	l.busy(fullFor, 100)
	require.Equal(t, 2, l.target)
	for range 100 {
		l.total += 100
		require.Equal(t, 2, l.ticksOf(window/2, l.total, true))
	}
}

// More gets done between two late looks, but not because of the worker that is on trial.
func TestALateLookIsNotTakenForMoreWork(t *testing.T) {
	l := newLoad(2)
	l.busy(fullFor, 80)
	require.Equal(t, 2, l.target)
	l.total += fullFor * 80
	assert.Equal(t, 1, l.ticksOf(fullFor*window, l.total, false), "it brought nothing")
}

func TestWhatWasRunBetweenTwoLateLooksIsSpreadOverTheirTicks(t *testing.T) {
	l := newLoad(1)
	l.ticksOf(3*window, 300, false)
	assert.EqualValues(t, 100, l.last, "in the last of three windows")
}

func TestAProcessThatStoodStillDoesNotCatchUp(t *testing.T) {
	l := newLoad(2)
	l.ticksOf(math.MaxInt, 1000, false) // would take minutes
	assert.EqualValues(t, 1000, l.runs)
}

func TestOneTickThatFoundTheEventLoopAsleepPutsTheTrialOff(t *testing.T) {
	l := newLoad(2)
	l.window(100, 0)
	assert.Equal(t, 1, l.window(100, 1))
	assert.Equal(t, 1, l.window(100, 0), "the windows must be in a row")
	assert.Equal(t, 2, l.window(100, 0))
}

// With n workers each runs an nth of the turns. The next worker must add at least a quarter of
// that.
func TestAWorkerIsKeptThatBringsAQuarterOfAnothersShare(t *testing.T) {
	for others := 1; others <= 8; others++ {
		before := uint64(400 * others)
		for _, c := range []struct {
			after  uint64
			wanted bool
		}{{before + 100, true}, {before + 99, false}, {before, false}, {before * 2, true}, {0, false}} {
			l := newLoad(16)
			l.target = others
			l.window(before, 0)
			require.Equal(t, others+1, l.window(before, 0))
			want := others
			if c.wanted {
				want++
			}
			assert.Equal(t, others+1, l.window(c.after, 0), "one window decides nothing")
			assert.Equal(t, want, l.window(c.after, 0), "%d workers, %d turns before, %d after", others, before, c.after)
		}
	}
}

// One window in which more was run by chance must not keep a worker that brings nothing.
func TestAWorkerIsJudgedByAsManyWindowsAsBeforeIt(t *testing.T) {
	l := newLoad(2)
	l.busy(fullFor, 100)
	assert.Equal(t, 2, l.window(140, 0))
	assert.Equal(t, 1, l.window(100, 0), "240 after 200")
	l = newLoad(2)
	l.busy(fullFor, 100)
	l.window(100, 0)
	assert.Equal(t, 2, l.window(150, 0), "250 after 200")
}

func TestAWorkerIsTriedAfterAnotherAsLongAsEachBringsEnough(t *testing.T) {
	l := newLoad(4)
	assert.Equal(t, 4, l.busy(100, 1000))
	assert.Equal(t, 4, l.most)
}

// failed returns how many windows passed between the end of a failed trial and the next trial.
func (l *load) failed(t *testing.T) (rest int) {
	t.Helper()
	require.Equal(t, fullFor, l.trial)
	l.window(100, 0)
	require.Equal(t, 1, l.window(100, 0), "twice the workers ran what one did")
	for l.window(100, 0) == 1 {
		rest++
	}
	return rest
}

func TestFailedTrialsRestTwiceAsLongEachUpToEightSeconds(t *testing.T) {
	l := newLoad(2)
	l.busy(fullFor, 100)
	for want := firstWait; want < mostWait; want *= 2 {
		assert.Equal(t, want-1, l.failed(t), "the trial comes with the last of so many windows")
	}
	for range 3 {
		assert.Equal(t, mostWait-1, l.failed(t))
	}
	assert.InDelta(t, 8, (mostWait * window * tick).Seconds(), 0.5)
}

// keeps runs a second worker's trial until the worker is kept: with it twice as many turns are run.
func (l *load) keeps(t *testing.T) {
	t.Helper()
	require.Equal(t, fullFor, l.trial)
	for range fullFor + firstWait - 1 {
		require.Equal(t, 2, l.window(200, 0))
	}
	require.Equal(t, 1, l.window(200, 0), "tried without")
	require.Equal(t, 1, l.window(100, 0))
	require.Equal(t, 2, l.window(100, 0), "kept")
}

func TestAWorkerThatIsKeptIsNotTriedAgain(t *testing.T) {
	l := newLoad(2)
	l.busy(fullFor, 100)
	l.keeps(t)
	for range 1000 {
		require.Equal(t, 2, l.window(200, 0))
	}
}

// With the worker more turns were run, but no fewer without it afterwards.
func TestAWorkerThatBroughtMoreByChanceIsTakenAwayAgain(t *testing.T) {
	l := newLoad(2)
	l.busy(fullFor, 100)
	l.window(200, 0)
	require.Equal(t, 2, l.window(200, 0))
	for range firstWait {
		l.window(100, 0)
	}
	require.Equal(t, 1, l.target, "tried without")
	for range fullFor + firstWait - 1 {
		require.Equal(t, 1, l.window(100, 0))
	}
	require.Equal(t, 2, l.window(100, 0), "and tried again as after a trial that failed")
	assert.Equal(t, 2*firstWait-1, l.failed(t))
}

func TestASuccessfulTrialBeginsTheRestsAnew(t *testing.T) {
	l := newLoad(2)
	l.busy(fullFor, 100)
	for range 4 {
		l.failed(t)
	}
	l.keeps(t)
	l.window(0, window)
	require.Equal(t, 1, l.target, "and taken away as there is nothing to do")
	require.Equal(t, 2, l.busy(fullFor, 100))
	assert.Equal(t, firstWait-1, l.failed(t))
}

func TestSlackTakesOneWorkerAwayAWindow(t *testing.T) {
	l := newLoad(4)
	l.busy(100, 1000)
	assert.Equal(t, 4, l.window(1000, window/2-1), "asleep less than half the time")
	assert.Equal(t, 3, l.window(1000, window/2))
	assert.Equal(t, 2, l.window(1000, window))
	assert.Equal(t, 1, l.window(1000, window))
	assert.Equal(t, 1, l.window(1000, window))
}

// For any load there is at least one worker, and no more than the limit.
func TestThereAreNeverFewerThanOneNorMoreThanMostWorkers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(-1, 5).Draw(t, "most")
		l := newLoad(most)
		for range rapid.IntRange(1, 300).Draw(t, "windows") {
			before := l.target
			l.window(rapid.Uint64Range(0, 1000).Draw(t, "turns"), rapid.SampledFrom([]int{0, 0, 0, 1, 4, window}).Draw(t, "asleep"))
			if l.target < 1 || l.target > max(most, 1) {
				t.Fatalf("%d workers of %d", l.target, most)
			}
			if l.target > before+1 || l.target < before-1 {
				t.Fatalf("from %d to %d workers at once", before, l.target)
			}
		}
	})
}

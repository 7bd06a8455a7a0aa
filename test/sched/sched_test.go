package sched_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/test/sched"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// do runs f in a bubble and returns the run.
func do(t *testing.T, o sched.Options, f func(*sched.Run)) (run *sched.Run) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var err error
		run, err = sched.Do(o, f)
		require.NoError(t, err)
	})
	return run
}

// letters has n goroutines write their letter, each the given number of times, a step for each.
func letters(n, times int, label func(i int) int) func(*sched.Run, *strings.Builder) {
	return func(run *sched.Run, text *strings.Builder) {
		for i := range n {
			run.Start(label(i), func() {
				for k := range times {
					if k > 0 {
						seam.Yield()
					}
					text.WriteByte(byte('a' + i))
				}
			})
		}
		run.Rest()
	}
}

func none(int) int { return 0 }

// What waits for something outside of the bubble goes on once that is there, as a step of its own;
// until then time passes, and others run.
func TestAWaitForSomethingOutsideIsAskedBeforeEachStep(t *testing.T) {
	var text strings.Builder
	outside, asked := 0, 0
	do(t, sched.Options{Policy: sched.Random(1)}, func(run *sched.Run) {
		run.Start(0, func() {
			run.Until(func() bool { asked++; return outside == 2 })
			text.WriteString("w")
		})
		for range 2 {
			sched.Sleep(time.Second)
			run.Rest()
			text.WriteString("d")
			outside++
		}
		run.Rest()
		text.WriteString("!")
	})
	assert.Equal(t, "ddw!", text.String())
	assert.Greater(t, asked, 4)
}

// A goroutine that asks again and again for what another is to do is not left behind by one that
// waits until all is at rest.
func TestRestComesAfterThoseThatAskAgain(t *testing.T) {
	for seed := range uint64(20) {
		asks := 0
		do(t, sched.Options{Policy: sched.Random(seed)}, func(run *sched.Run) {
			run.Start(0, func() {
				for asks < 5 {
					asks++
					seam.Gosched()
				}
			})
			run.Rest()
			assert.Equal(t, 5, asks)
		})
	}
}

func texts(t *testing.T, o func(i int) sched.Options, count int, world func(*sched.Run, *strings.Builder)) (all []string) {
	for i := range count {
		var text strings.Builder
		do(t, o(i), func(run *sched.Run) { world(run, &text) })
		all = append(all, text.String())
	}
	return all
}

func distinct(texts []string) map[string]int {
	all := map[string]int{}
	for _, text := range texts {
		all[text]++
	}
	return all
}

func TestASeedIsOneOrder(t *testing.T) {
	same := texts(t, func(int) sched.Options { return sched.Options{Policy: sched.Random(7)} }, 5, letters(3, 4, none))
	assert.Len(t, distinct(same), 1)
	others := texts(t, func(i int) sched.Options { return sched.Options{Policy: sched.Random(uint64(i))} }, 20, letters(3, 4, none))
	assert.Greater(t, len(distinct(others)), 15)
}

func TestARunIsRepeatedFromItsChoices(t *testing.T) {
	var text strings.Builder
	run := do(t, sched.Options{Policy: sched.Random(3)}, func(run *sched.Run) { letters(3, 4, none)(run, &text) })
	again := texts(t, func(int) sched.Options {
		return sched.Options{Policy: sched.Replay(sched.Indexes(run.Taken()))}
	}, 1, letters(3, 4, none))
	assert.Equal(t, text.String(), again[0])
}

// With priorities a thread runs as long as it can, but for the changes.
func TestPrioritiesLeaveAThreadAtTheirChangesOnly(t *testing.T) {
	switches := func(text string) (n int) {
		for i := 1; i < len(text); i++ {
			if text[i] != text[i-1] {
				n++
			}
		}
		return n
	}
	for depth := 1; depth <= 3; depth++ {
		all := texts(t, func(i int) sched.Options {
			return sched.Options{Policy: sched.PCT(uint64(i), depth, 12)}
		}, 30, letters(3, 4, none))
		most := 0
		for _, text := range all {
			most = max(most, switches(text))
		}
		assert.Equal(t, 2+depth-1, most, "of three threads, with depth %d", depth)
	}
}

// explored returns how often each text came.
func explored(t *testing.T, e *sched.Explorer, world func(*sched.Run, *strings.Builder)) map[string]int {
	all := map[string]int{}
	for e.Next() {
		var text strings.Builder
		e.Pause()
		do(t, sched.Options{Policy: e}, func(run *sched.Run) {
			e.Resume()
			world(run, &text)
		})
		all[text.String()]++
	}
	require.NoError(t, e.Err())
	return all
}

func TestTheExplorerTakesEveryOrderOnce(t *testing.T) {
	e := new(sched.Explorer)
	all := explored(t, e, letters(2, 4, none))
	assert.Len(t, all, 70, "8 over 4")
	for text, times := range all {
		assert.Equal(t, 1, times, text)
	}
	assert.Equal(t, 70, e.Runs)
	assert.Zero(t, e.Redundant)
}

func TestTheExplorerTakesOneOrderOfIndependentSteps(t *testing.T) {
	e := new(sched.Explorer)
	explored(t, e, letters(2, 4, func(i int) int { return 1 + i }))
	assert.Equal(t, 1, e.Runs)
	e = new(sched.Explorer)
	explored(t, e, letters(3, 2, func(i int) int { return 1 + i/2 })) // two of one label, and one of another
	assert.Equal(t, 6, e.Runs, "4 over 2")
}

func TestTheExplorerKeepsItsBound(t *testing.T) {
	e := &sched.Explorer{MostDelays: 1}
	all := explored(t, e, letters(2, 4, none))
	for text, times := range all {
		assert.Equal(t, 1, times, text)
		assert.LessOrEqual(t, strings.Count(text, "ab")+strings.Count(text, "ba"), 3, text)
	}
	// A thread that is left goes on when the other one has ended: one order for each place.
	assert.Len(t, all, 5)
	assert.Contains(t, all, "aaaabbbb")
	assert.Contains(t, all, "aabbbbaa")
	assert.NotContains(t, all, "abababab")
	e = &sched.Explorer{MostDelays: 7}
	assert.Len(t, explored(t, e, letters(2, 4, none)), 70, "all")
}

func TestTheExplorerTellsThatAWorldIsNotAlwaysTheSame(t *testing.T) {
	e, runs := new(sched.Explorer), 0
	for e.Next() {
		runs++
		var text strings.Builder
		do(t, sched.Options{Policy: e}, func(run *sched.Run) { letters(2+runs%2, 2, none)(run, &text) })
	}
	require.ErrorContains(t, e.Err(), "the world differs from the run before")
}

func TestTimePassesWhenNothingElseCanGoOn(t *testing.T) {
	var text []string
	var mu sync.Mutex
	say := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		text = append(text, what)
	}
	do(t, sched.Options{Policy: sched.Random(1)}, func(run *sched.Run) {
		began := time.Now()
		var done sync.WaitGroup
		done.Add(2)
		seam.AfterFunc(time.Second, func() { say("timer"); done.Done() })
		seam.Go(func() {
			sched.Sleep(2 * time.Second)
			say("sleeper")
			done.Done()
		})
		for range 50 {
			seam.Yield()
		}
		say("driver")
		turn := seam.Wait()
		done.Wait()
		turn.Over()
		assert.Equal(t, 2*time.Second, time.Since(began))
	})
	assert.Equal(t, []string{"driver", "timer", "sleeper"}, text)
}

// A turn that blocks, and one that ends its goroutine, hold up no other.
func TestTurnsThatBlockOrExit(t *testing.T) {
	count := 0
	do(t, sched.Options{}, func(run *sched.Run) {
		gate := make(chan struct{})
		run.Turn("blocks", func() {
			turn := seam.Wait()
			<-gate
			turn.Over()
			count++
		})
		run.Turn("exits", func() {
			defer func() { count++ }()
			panicOrExit()
		})
		run.Turn("runs", func() { count++ })
		run.Rest()
		assert.Equal(t, 2, count)
		close(gate)
	})
	assert.Equal(t, 3, count)
}

func panicOrExit() {
	defer func() { _ = recover() }()
	panic("as a mailbox recovers")
}

func TestARunWithoutEndIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		run, err := sched.Do(sched.Options{MostSteps: 100}, func(*sched.Run) {
			for {
				select {
				case <-stop:
					return
				default:
					seam.Yield()
				}
			}
		})
		require.ErrorContains(t, err, "no end after 100 steps")
		close(stop)
		run.Abandon()
	})
}

func TestStrictFindsAGoroutineThatWasNotPicked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := sched.Do(sched.Options{Strict: true}, func(*sched.Run) {
			ended := make(chan struct{})
			go func() {
				seam.Yield()
				close(ended)
			}()
			turn := seam.Wait()
			<-ended
			turn.Over()
		})
		require.ErrorContains(t, err, "a goroutine runs that was not picked")
	})
}

func TestOneRunAtATime(t *testing.T) {
	do(t, sched.Options{}, func(*sched.Run) {
		_, err := sched.Do(sched.Options{}, func(*sched.Run) {})
		assert.Error(t, err)
	})
}

// A point that no longer fits the code would not be there.
func TestThePointsFitTheCode(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	dir := t.TempDir()
	_, err = sched.Overlay(root, dir)
	require.NoError(t, err)
	count := 0
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, err = parser.ParseFile(token.NewFileSet(), file, text, 0)
		require.NoError(t, err)
		count += strings.Count(string(text), "seam.Yield()")
		assert.Contains(t, string(text), `"github.com/go-berth/berth/internal/seam"`, file)
	}
	assert.Equal(t, len(sched.Points), count, fmt.Sprint(files))
	_, err = sched.Overlay(root, dir, sched.Edit{File: "connection/credit.go", Old: "no such text"})
	require.Error(t, err)
}

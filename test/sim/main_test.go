package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/history"
)

// Long forms: make sim.
var (
	seeds  = flag.Uint64("sim.seeds", 60, "how many random worlds to run, the first being world 1")
	seed   = flag.Uint64("sim.seed", 0, "run this one alone")
	from   = flag.Uint64("sim.from", 1, "the first of the worlds")
	again  = flag.String("sim.again", "", "run this world again: a failure prints it")
	steps  = flag.Int("sim.ops", 500, "how many steps the driver of each makes; what its handlers do comes on top")
	strict = flag.Bool("sim.strict", false, "find goroutines that run beside the one that is to")
	scale  = flag.Float64("sim.scale", 0.02, "what part of the other tests' cases is run, at most 1")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// every returns which of a number of cases to run: each nth.
func every() int { return max(1, int(1 / *scale)) }

// skipped adds a row about skipped cases to the report.
func skipped(all bool, what string) string {
	if all {
		return ""
	}
	return what
}

// hang is how long a bubble may take, in real time. If goroutines wait for each other, synctest
// reports that itself. This limit is for a bubble that never rests.
const hang = 2 * time.Minute

// inBubble runs f in a bubble of virtual time. An error says that it did not end.
func inBubble(t *testing.T, name string, f func()) (err error) {
	t.Helper()
	watch := time.AfterFunc(hang, func() {
		_, _ = fmt.Fprintf(os.Stderr, "%s has been running for %v\n", name, hang)
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
		os.Exit(2)
	})
	defer watch.Stop()
	defer func() {
		if deadlock := recover(); deadlock != nil {
			stacks := make([]byte, 1<<20)
			err = fmt.Errorf("%v\n%s", deadlock, stacks[:runtime.Stack(stacks, true)])
		}
	}()
	synctest.Test(t, func(*testing.T) {
		f()
		time.Sleep(time.Second) // the dead letters' throttle may still run
	})
	return nil
}

// story returns what led to a violation: the last records of its connection before it, and of the
// world.
func story(records []history.Record, v check.Violation) (lines []string) {
	const most = 80
	rested := false
	for i := min(v.At, len(records)-1); i >= 0 && len(lines) < most; i-- {
		r := records[i]
		if r.Conn != 0 && r.Conn != v.Conn && v.Conn != 0 || r.What == history.Rest && rested {
			continue
		}
		rested = r.What == history.Rest
		lines = append(lines, fmt.Sprintf("%6d %v", i, r))
	}
	for i, j := 0, len(lines)-1; i < j; i, j = i+1, j-1 {
		lines[i], lines[j] = lines[j], lines[i]
	}
	return lines
}

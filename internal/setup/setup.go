// Package setup has what the tests of several packages need before they begin and after they end:
// the checks for what is left, an actor system that logs nothing, waits with a limit, certificates,
// the paths of unix sockets. It imports nothing of this module but package tcpactor, so that the
// tests inside the packages above can use it.
package setup

import (
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	tcpactor "github.com/go-berth/berth/actor"
)

// Main is a TestMain. It runs the tests, and fails if they leave a goroutine that the options do
// not allow for, or a descriptor where the system tells. It does not return.
func Main(m *testing.M, options ...goleak.Option) {
	openOnce()
	before := descriptors()
	goleak.VerifyTestMain(m, append(options, goleak.Cleanup(func(code int) {
		if left := leftAbove(len(before)); len(left) > 0 && code == 0 {
			fmt.Fprintln(os.Stderr, "descriptors are left. Before:", before, "now:", left)
			code = 1
		}
		os.Exit(code)
	}))...)
}

// Together lets so many parallel tests run at the same time, for a TestMain whose parallel tests
// wait for time to pass and do next to no work. By default it is one for each processor. The flag
// -parallel comes first.
func Together(n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(n))
	}
}

// openOnce has the runtime open what it opens with the first socket and keeps: its poll set.
func openOnce() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	_ = l.Close()
}

// leftAbove returns what is open if that is more than before. The collector closes the files and
// clients that a test has forgotten, and package net's pipes: so it waits.
func leftAbove(before int) []string {
	for began := time.Now(); Descriptors() > before; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			return descriptors()
		}
		runtime.GC()
	}
	return nil
}

// descriptors returns what the process has open; nothing where the system does not tell.
func descriptors() (all []string) {
	files, _ := os.ReadDir("/proc/self/fd")
	for _, file := range files {
		target, _ := os.Readlink("/proc/self/fd/" + file.Name())
		all = append(all, file.Name()+" "+target)
	}
	return all
}

// Descriptors counts what the process has open; 0 where the system does not tell.
func Descriptors() int {
	files, _ := os.ReadDir("/proc/self/fd")
	return len(files)
}

// System returns an actor system that logs nothing. A dead letter starts a goroutine for the
// throttle's interval, a second by default: here it is short. Options come after these.
func System(options ...actor.ConfigOption) *actor.ActorSystem {
	options = append(Silent(), options...)
	if strconv.IntSize < 64 { // where the stock registry does not work
		return tcpactor.NewSystem(options...)
	}
	return actor.NewActorSystem(options...)
}

// Silent returns the options of System, for a test that makes its system itself.
func Silent() []actor.ConfigOption {
	return []actor.ConfigOption{
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
	}
}

// Actors returns the ids of the actors that are registered.
func Actors(system *actor.ActorSystem) (ids []string) {
	for _, shard := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
		shard.IterCb(func(id string, _ any) {
			if id != "deadletter" && id != "eventstream" {
				ids = append(ids, id)
			}
		})
	}
	return ids
}

// ActorsBelow returns the ids of the actors below pid, and its own, as far as they are registered.
func ActorsBelow(system *actor.ActorSystem, pid *actor.PID) []string {
	return slices.DeleteFunc(Actors(system), func(id string) bool {
		return id != pid.Id && !strings.HasPrefix(id, pid.Id+"/")
	})
}

// Events are what an actor system has published, since Record. Any goroutine may use them.
type Events struct {
	mu  sync.Mutex
	all []any
}

// Record subscribes to the events of a system.
func Record(system *actor.ActorSystem) *Events {
	e := &Events{}
	system.EventStream.Subscribe(func(event any) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.all = append(e.all, event)
	})
	return e
}

// Published returns the events of one type so far.
func Published[T any](e *Events) (some []T) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		if one, is := event.(T); is {
			some = append(some, one)
		}
	}
	return some
}

// Patience is how long a test waits for what comes at once. Only a failing test waits that long.
const Patience = 20 * time.Second

// Receive returns the next value, and fails the test if none comes within Patience.
func Receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(Patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// Eventually asks again and again, for things that are not announced, within Patience.
func Eventually(t testing.TB, what func() bool) {
	t.Helper()
	require.Eventually(t, what, Patience, time.Millisecond)
}

// SocketPath returns a path for a unix socket, in a directory of the test's. The names of t.TempDir
// are too long for one.
func SocketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "berth") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

package berthtest_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/berthtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a testing.TB that keeps the output of a test.
type fake struct {
	testing.TB // the methods below are all that berthtest may use

	mu       sync.Mutex
	failures []string
	logs     []string
	cleanups []func()
}

func (f *fake) Helper()      {}
func (f *fake) Name() string { return "Fake" }

func (f *fake) Cleanup(cleanup func()) { f.cleanups = append(f.cleanups, cleanup) }

func (f *fake) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.failures) > 0
}

func (f *fake) Logf(format string, arguments ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logs = append(f.logs, fmt.Sprintf(format, arguments...))
}

func (f *fake) Errorf(format string, arguments ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, fmt.Sprintf(format, arguments...))
}

func (f *fake) Fatalf(format string, arguments ...any) {
	f.Errorf(format, arguments...)
	runtime.Goexit()
}

// run runs test as package testing would, and returns what failed.
func run(test func(t testing.TB)) (failures []string) {
	f := new(fake)
	f.run(test)
	return f.failures
}

func (f *fake) run(test func(t testing.TB)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for len(f.cleanups) > 0 {
				last := len(f.cleanups) - 1
				cleanup := f.cleanups[last]
				f.cleanups = f.cleanups[:last]
				cleanup()
			}
		}()
		test(f)
	}()
	<-done
}

// fails runs test and returns the one sentence with which it must fail, without the client's
// address.
func fails(t *testing.T, test func(t testing.TB)) string {
	t.Helper()
	failures := run(test)
	require.Len(t, failures, 1)
	sentence, ok := strings.CutPrefix(failures[0], "berthtest: ")
	require.True(t, ok, failures[0])
	return sentence
}

// passes runs test, which must not fail.
func passes(t *testing.T, test func(t testing.TB)) {
	t.Helper()
	require.Empty(t, run(test))
}

// everywhere runs test on each kind of network.
func everywhere(t *testing.T, test func(t *testing.T, options ...berthtest.Option)) {
	t.Helper()
	onTwoClocks(t, test)
	t.Run("memory", func(t *testing.T) { test(t) })
}

// onTwoClocks is everywhere for tests that take real time.
func onTwoClocks(t *testing.T, test func(t *testing.T, options ...berthtest.Option)) {
	t.Helper()
	t.Run("bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t) })
	})
	t.Run("loopback", func(t *testing.T) { test(t, berthtest.Loopback()) })
}

func echo(socket berth.Socket, data *berth.Buffer) error {
	_, err := socket.Forward(data)
	return err
}

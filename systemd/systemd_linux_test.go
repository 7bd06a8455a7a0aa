package systemd

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/go-berth/berth/test/manager"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// managed makes this process the main one of a service.
func managed(t *testing.T, m *manager.Manager) *notifier {
	t.Helper()
	m.Main = os.Getpid()
	t.Setenv(notifySocket, m.Addr)
	t.Setenv(heirVariable, "") // it is removed, and comes back as it was
	require.NoError(t, os.Unsetenv(heirVariable))
	return newNotifier()
}

func texts(messages []manager.Message) (all []string) {
	for _, message := range messages {
		all = append(all, message.Text)
	}
	return all
}

func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	return now.Nano() / 1000
}

func TestEachCallIsOneMessage(t *testing.T) {
	for says, listen := range map[string]func(*testing.T) *manager.Manager{
		"file": manager.Listen, "abstract": manager.ListenAbstract,
	} {
		t.Run(says, func(t *testing.T) {
			m := listen(t)
			n := managed(t, m)
			require.NoError(t, n.ready())
			assert.Equal(t, []string{"READY=1"}, texts(m.Pending(t)))

			before := monotonic(t)
			require.NoError(t, n.reloading())
			reloading := m.Await(t)
			assert.Regexp(t, `\ARELOADING=1\nMONOTONIC_USEC=\d+\n\z`, reloading.Text)
			at, err := strconv.ParseInt(reloading.Value("MONOTONIC_USEC"), 10, 64)
			require.NoError(t, err)
			assert.GreaterOrEqual(t, at, before)
			assert.LessOrEqual(t, at, monotonic(t))

			require.NoError(t, n.ready(), "the restart failed")
			require.NoError(t, n.stopping())
			assert.Equal(t, []string{"READY=1", "STOPPING=1"}, texts(m.Pending(t)))
		})
	}
}

func TestAfterMainPIDAProcessSaysNothing(t *testing.T) {
	m := manager.Listen(t)
	n := managed(t, m)
	t.Setenv("WATCHDOG_USEC", "1000")
	require.NoError(t, n.mainPID(4711))
	assert.Equal(t, []string{"MAINPID=4711\nREADY=1\nWATCHDOG=1"}, texts(m.Pending(t)))
	m.Main = os.Getpid() // so that a message of this process would be one
	require.NoError(t, n.stopping())
	require.NoError(t, n.ready())
	require.NoError(t, n.reloading())
	require.NoError(t, n.mainPID(4712))
	require.NoError(t, n.watchdog(t.Context(), healthy))
	assert.Empty(t, m.Pending(t))
}

func TestAfterStoppingAProcessSaysNothing(t *testing.T) {
	m := manager.Listen(t)
	n := managed(t, m)
	require.NoError(t, n.stopping())
	assert.Equal(t, []string{"STOPPING=1"}, texts(m.Pending(t)))
	require.NoError(t, n.stopping())
	require.NoError(t, n.mainPID(4711))
	assert.Empty(t, m.Pending(t))
}

// A process that is started during a restart has the environment of the one that starts it. Here
// another notifier stands in for it.
func TestTheProcessBeforeSpeaksForOneThatIsStartedDuringARestart(t *testing.T) {
	m := manager.Listen(t)
	n := managed(t, m)
	require.NoError(t, n.reloading())
	speaker, set := os.LookupEnv(heirVariable)
	require.True(t, set)
	assert.Equal(t, strconv.Itoa(os.Getpid()), speaker)
	m.Await(t)

	heir := newNotifier()
	t.Setenv(heirVariable, "1") // what it would see: the number is another process's
	t.Setenv(watchdogPID, "1")
	require.NoError(t, heir.ready())
	assert.Empty(t, m.Pending(t))
	assert.NotContains(t, os.Environ(), watchdogPID+"=1", "it is watched, whatever its number is")
	_, set = os.LookupEnv(heirVariable)
	assert.False(t, set, "its children are no heirs")

	require.NoError(t, heir.reloading())
	m.Await(t)
	require.NoError(t, heir.ready(), "its own restart failed")
	assert.Equal(t, []string{"READY=1"}, texts(m.Pending(t)))
}

func TestNoProcessIsAnHeirOnceTheRestartIsOver(t *testing.T) {
	for says, end := range map[string]func(n *notifier) error{
		"done":   func(n *notifier) error { return n.mainPID(4711) },
		"failed": func(n *notifier) error { return n.ready() },
	} {
		t.Run(says, func(t *testing.T) {
			n := managed(t, manager.Listen(t))
			require.NoError(t, n.reloading())
			require.NoError(t, end(n))
			_, set := os.LookupEnv(heirVariable)
			assert.False(t, set)
		})
	}
}

// exec makes a process another program with the same number: the variable is its own.
func TestAProcessIsNotItsOwnHeir(t *testing.T) {
	m := manager.Listen(t)
	n := managed(t, m)
	t.Setenv(heirVariable, strconv.Itoa(os.Getpid()))
	require.NoError(t, n.ready())
	assert.Equal(t, []string{"READY=1"}, texts(m.Pending(t)))
}

func TestWithoutAManagerNothingHappens(t *testing.T) {
	t.Setenv(notifySocket, "")
	require.NoError(t, os.Unsetenv(notifySocket))
	t.Setenv("WATCHDOG_USEC", "1000")
	n := newNotifier()
	require.NoError(t, n.ready())
	require.NoError(t, n.reloading())
	_, set := os.LookupEnv(heirVariable)
	assert.False(t, set)
	require.NoError(t, n.watchdog(t.Context(), func(context.Context) error {
		assert.Fail(t, "nothing asks for it")
		return nil
	}))
	require.NoError(t, n.mainPID(4711))
	require.NoError(t, n.stopping())
}

func TestAManagerThatIsGoneIsAnError(t *testing.T) {
	t.Setenv(notifySocket, t.TempDir()+"/n")
	for says, call := range map[string]func(n *notifier) error{
		"ready": (*notifier).ready, "reloading": (*notifier).reloading, "stopping": (*notifier).stopping,
		"mainpid": func(n *notifier) error { return n.mainPID(4711) },
	} {
		t.Run(says, func(t *testing.T) {
			t.Cleanup(func() { _ = os.Unsetenv(heirVariable) })
			err := call(newNotifier())
			require.ErrorIs(t, err, unix.ENOENT)
			assert.ErrorContains(t, err, "systemd: the service manager was not told: ")
		})
	}
}

func healthy(context.Context) error { return nil }

// watch runs the watchdog in a bubble of synctest, and returns what ends it.
func watch(t *testing.T, n *notifier, check func(context.Context) error) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.watchdog(ctx, check) }()
	return func() {
		cancel()
		assert.NoError(t, <-ended)
	}
}

const beat = "WATCHDOG=1"

func TestTheWatchdogBeatsAtHalfTheInterval(t *testing.T) {
	m := manager.Listen(t)
	managed(t, m)
	t.Setenv("WATCHDOG_USEC", "10000000")
	t.Setenv(watchdogPID, strconv.Itoa(os.Getpid()))
	synctest.Test(t, func(t *testing.T) {
		n := newNotifier() // its channel must be the bubble's
		end := watch(t, n, healthy)
		defer end()
		synctest.Wait()
		for range 3 {
			time.Sleep(5*time.Second - 1)
			assert.Empty(t, m.Pending(t))
			time.Sleep(1)
			synctest.Wait()
			assert.Equal(t, []string{beat}, texts(m.Pending(t)))
		}
	})
}

func TestTheWatchdogDoesNotBeatWhileTheCheckFails(t *testing.T) {
	m := manager.Listen(t)
	managed(t, m)
	t.Setenv("WATCHDOG_USEC", "8000000")
	synctest.Test(t, func(t *testing.T) {
		n := newNotifier()
		var ill atomic.Bool
		var checks atomic.Int64
		end := watch(t, n, func(context.Context) error {
			checks.Add(1)
			if ill.Load() {
				return errors.New("ill")
			}
			return nil
		})
		defer end()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{beat}, texts(m.Pending(t)))

		ill.Store(true)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		assert.Empty(t, m.Pending(t))
		assert.EqualValues(t, 1+1+16, checks.Load(), "each second after the first that failed")

		ill.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []string{beat}, texts(m.Pending(t)))
	})
}

func TestACheckHasAQuarterOfTheInterval(t *testing.T) {
	m := manager.Listen(t)
	managed(t, m)
	t.Setenv("WATCHDOG_USEC", "8000000")
	synctest.Test(t, func(t *testing.T) {
		n := newNotifier()
		var took []time.Duration
		end := watch(t, n, func(ctx context.Context) error {
			began := time.Now()
			<-ctx.Done()
			took = append(took, time.Since(began))
			return nil // too late, whatever it says
		})
		time.Sleep(7 * time.Second)
		synctest.Wait()
		end()
		assert.Equal(t, []time.Duration{2 * time.Second, 0}, took)
		assert.Empty(t, m.Pending(t))
	})
}

func TestTheWatchdogEndsWithTheService(t *testing.T) {
	for says, over := range map[string]func(n *notifier) error{
		"stopping": (*notifier).stopping,
		"mainpid":  func(n *notifier) error { return n.mainPID(4711) },
	} {
		t.Run(says, func(t *testing.T) {
			m := manager.Listen(t)
			managed(t, m)
			t.Setenv("WATCHDOG_USEC", "8000000")
			synctest.Test(t, func(t *testing.T) {
				n := newNotifier()
				ended := make(chan error, 1)
				go func() { ended <- n.watchdog(t.Context(), healthy) }()
				synctest.Wait()
				require.NoError(t, over(n))
				require.NoError(t, <-ended)
			})
		})
	}
}

func TestAProcessThatIsNotWatchedDoesNotBeat(t *testing.T) {
	m := manager.Listen(t)
	n := managed(t, m)
	for says, environment := range map[string][2]string{
		"no watchdog": {"", ""},
		"another":     {"1000", "1"},
	} {
		t.Run(says, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", environment[0])
			t.Setenv(watchdogPID, environment[1])
			require.NoError(t, n.watchdog(t.Context(), healthy))
		})
	}
	t.Run("nonsense", func(t *testing.T) {
		t.Setenv("WATCHDOG_USEC", "soon")
		assert.ErrorContains(t, n.watchdog(t.Context(), healthy), `systemd: WATCHDOG_USEC is "soon": `)
	})
	assert.Empty(t, m.Pending(t))
}

// The functions of the package are those of the process.
func TestTheFunctionsSpeakForThisProcess(t *testing.T) {
	m := manager.Listen(t)
	before := own
	own = managed(t, m)
	defer func() { own = before }()
	require.NoError(t, Ready())
	require.NoError(t, Reloading())
	require.NoError(t, MainPID(4711))
	messages := m.Pending(t)
	require.Len(t, messages, 3)
	assert.Equal(t, "1", messages[1].Value("RELOADING"))
	own, m.Main = newNotifier(), os.Getpid()
	require.NoError(t, Stopping())
	require.NoError(t, Watchdog(t.Context(), healthy))
	assert.Equal(t, []string{"STOPPING=1"}, texts(m.Pending(t)))
}

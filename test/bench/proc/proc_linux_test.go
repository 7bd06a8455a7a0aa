package proc

import (
	"math"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// spinning makes this test binary a process that only uses CPU.
const spinning = "BERTH_BENCH_TEST_SPINS"

func TestMain(m *testing.M) {
	if os.Getenv(spinning) != "" {
		for began := time.Now(); time.Since(began) < 30*time.Second; {
		}
		return
	}
	os.Exit(m.Run())
}

func TestTheCPUClockAgreesWithTheKernelsOwnAccount(t *testing.T) {
	for began := time.Now(); time.Since(began) < 30*time.Millisecond; {
	}
	before := usage(t)
	clock, err := CPU(os.Getpid())
	require.NoError(t, err)
	after := usage(t)
	// getrusage scales user and system to the scheduler's sum and may lag it by a tick.
	const tick = 10 * time.Millisecond
	assert.GreaterOrEqual(t, clock, before-tick)
	assert.LessOrEqual(t, clock, after+tick)
}

func usage(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestTheCPUClockOfAnotherProcessRunsWhileThatProcessDoes(t *testing.T) {
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), spinning+"=1")
	require.NoError(t, child.Start())
	defer func() { _ = child.Wait() }()
	defer func() { _ = child.Process.Kill() }()
	first, err := CPU(child.Process.Pid)
	require.NoError(t, err)
	assert.Eventually(t, func() bool {
		now, err := CPU(child.Process.Pid)
		return err == nil && now-first > 5*time.Millisecond
	}, 10*time.Second, time.Millisecond)
}

func TestAProcessThatIsNotThereHasNeitherClockNorMemory(t *testing.T) {
	_, err := CPU(math.MaxInt32 >> 4)
	assert.ErrorContains(t, err, "the CPU clock of process 134217727 cannot be read")
	_, err = Anonymous(math.MaxInt32 >> 4)
	assert.ErrorContains(t, err, "the memory of process 134217727 cannot be read")
}

func TestAnonymousMemoryGrowsWithWhatIsTouched(t *testing.T) {
	const size = 32 << 20
	before, err := Anonymous(os.Getpid())
	require.NoError(t, err)
	pages, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	defer func() { _ = unix.Munmap(pages) }()
	for i := 0; i < size; i += os.Getpagesize() {
		pages[i] = 1
	}
	after, err := Anonymous(os.Getpid())
	require.NoError(t, err)
	assert.InDelta(t, size, after-before, size/4)
}

func TestTheLineAnonymousIsFoundInARollup(t *testing.T) {
	bytes, err := anonymous([]byte("55d0 ---p [rollup]\nRss:    1744 kB\nAnonymous:    116 kB\nAnonHugePages:  4 kB\n"))
	require.NoError(t, err)
	assert.EqualValues(t, 116<<10, bytes)
	_, err = anonymous([]byte("Rss: 1744 kB\n"))
	assert.EqualError(t, err, "the kernel's smaps_rollup has no line Anonymous")
}

func TestDescriptorsBeyondTheHardLimitAreRefused(t *testing.T) {
	require.NoError(t, EnsureDescriptors(1))
	assert.ErrorContains(t, EnsureDescriptors(math.MaxInt32), "the hard limit is")
}

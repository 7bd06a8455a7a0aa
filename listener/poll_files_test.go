//go:build linux

package listener

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-berth/berth/connection/transport"
)

// A separate process runs out of descriptors: this test binary again, with this variable set.
const fewFiles = "BERTH_TEST_FEW_FILES"

// TestMainOfTheProcessWithFewFiles is that process: a server. It reports what it does line by line,
// and ends with its input.
func TestMainOfTheProcessWithFewFiles(t *testing.T) {
	most, err := strconv.ParseUint(os.Getenv(fewFiles), 10, 31)
	if err != nil {
		t.Skip("a part of another test")
	}
	w := newWorld()
	warm, err := Listen(w.Root, anyPort, of(newEcho()), Options{Transport: Stream}) // what the runtime opens once
	require.NoError(t, err)
	require.NoError(t, warm.Close())
	before := descriptors()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	limit.Cur = most
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	l, err := Listen(w.Root, anyPort, of(&echo{}), Options{Transport: Poll, MaxConnections: -1, Connection: brisk})
	require.NoError(t, err)
	fmt.Println("listening", l.Addr())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println("failed", len(published[*AcceptFailed](w)), l.Info().Open)
	}
	for _, failed := range published[*AcceptFailed](w) {
		require.ErrorIs(t, failed.Err, syscall.EMFILE)
	}
	require.NoError(t, l.Close())
	assert.Empty(t, w.actors())
	assert.Equal(t, before, descriptors(), "none was lost")
}

// process is the child as its parent sees it.
type process struct {
	t     *testing.T
	addr  string
	ask   io.Writer
	lines *bufio.Scanner
}

// failures asks how many accepts have failed, and how many connections are open.
func (p *process) failures() (failed, open int) {
	_, err := fmt.Fprintln(p.ask)
	require.NoError(p.t, err)
	for p.lines.Scan() {
		if _, err := fmt.Sscanf(p.lines.Text(), "failed %d %d", &failed, &open); err == nil {
			return failed, open
		}
	}
	require.FailNow(p.t, "the process has ended")
	return 0, 0
}

func startWithFewFiles(t *testing.T, most int) *process {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestMainOfTheProcessWithFewFiles$", "-test.timeout=60s")
	child.Env = append(os.Environ(), fewFiles+"="+strconv.Itoa(most))
	in, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	child.Stderr = os.Stderr
	require.NoError(t, child.Start())
	p := &process{t: t, ask: in, lines: bufio.NewScanner(out)}
	t.Cleanup(func() {
		_ = in.Close()
		var rest []string
		for p.lines.Scan() {
			rest = append(rest, p.lines.Text())
		}
		assert.NoError(t, child.Wait(), strings.Join(rest, "\n"))
	})
	for p.addr == "" && p.lines.Scan() {
		p.addr, _ = strings.CutPrefix(p.lines.Text(), "listening ")
	}
	return p
}

// G9 for real: the process has no descriptor left. Existing connections go on. New clients are
// served as soon as there is a descriptor.
func TestWithoutDescriptorsLiveConnectionsGoOnAndOthersAreServedOnceSomeAreFree(t *testing.T) {
	const limit, clients = 64, 100
	p := startWithFewFiles(t, limit)
	var all []net.Conn
	for range clients {
		c, err := net.Dial("tcp", p.addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		_, err = io.WriteString(c, "hello")
		require.NoError(t, err)
		all = append(all, c)
	}
	var served, open int
	eventually(t, func() bool {
		var failed int
		failed, open = p.failures()
		return failed > 2 && open > limit/2
	})
	require.Less(t, open, limit)
	answer := make([]byte, 5)
	for _, c := range all[:open] { // the backlog is in order
		_, err := io.ReadFull(c, answer)
		require.NoError(t, err)
		served++
	}
	for range 10 {
		for _, c := range all[:served] {
			echoes(t, c)
		}
	}
	failed, _ := p.failures()
	time.Sleep(300 * time.Millisecond)
	again, _ := p.failures()
	assert.LessOrEqual(t, again-failed, 20, "it waits longer and longer instead of spinning")

	for len(all) > 0 { // one leaves, one comes
		leaves := all[0]
		_, _ = leaves.Write([]byte("x"))
		require.NoError(t, leaves.Close())
		all = all[1:]
		if served--; served < len(all) {
			_, err := io.ReadFull(all[served], answer)
			require.NoError(t, err)
			assert.Equal(t, "hello", string(answer))
			served++
		}
		if len(all) < clients-5 {
			break // each waits for a back-off of up to a second
		}
	}
	for _, c := range all {
		_ = c.Close()
	}
	c, err := net.Dial("tcp", p.addr)
	require.NoError(t, err)
	defer c.Close()
	echoes(t, c)
}

// hoard takes descriptors until the given number is left, and gives them back at the end of the
// test.
func hoard(t *testing.T, left int) (release func()) {
	t.Helper()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = uint64(descriptors() + 40)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	var held []int
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		held = append(held, fd)
	}
	for range left {
		_ = unix.Close(held[len(held)-1])
		held = held[:len(held)-1]
	}
	return func() {
		for _, fd := range held {
			_ = unix.Close(fd)
		}
		require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	}
}

// However few descriptors are left, a listener either serves or says in one sentence what is
// missing, and then nothing was started (no goroutine either: TestMain looks).
func TestWithTooFewDescriptorsForAPollSetThereIsOneSentenceAndNothingIsLeft(t *testing.T) {
	w := newWorld()
	warm, err := Listen(w.Root, anyPort, of(newEcho()), Options{Transport: Stream})
	require.NoError(t, err)
	require.NoError(t, warm.Close())
	refused := 0
	for left := range 6 {
		before := openFiles()
		release := hoard(t, left)
		set, setErr := transport.NewPollSet()
		if setErr == nil {
			set.Close()
		}
		l, err := Listen(w.Root, anyPort, of(newEcho()), Options{Transport: Poll})
		release()
		if left < 2 {
			require.ErrorIs(t, setErr, syscall.EMFILE)
			assert.True(t, strings.HasPrefix(setErr.Error(), "berth: no poll set: "), setErr.Error())
		} else {
			require.NoError(t, setErr)
		}
		if err != nil {
			refused++
			require.ErrorIs(t, err, syscall.EMFILE, "%d left", left)
			assert.True(t, strings.HasPrefix(err.Error(), "berth: "), err.Error())
			assert.NotContains(t, err.Error(), "\n")
			assert.Nil(t, l)
		} else {
			echoes(t, dial(t, l))
			require.NoError(t, l.Close())
		}
		assert.Empty(t, w.actors())
		assert.Eventually(t, func() bool {
			return openFiles()["socket"] <= before["socket"]+1 && openFiles()["anon_inode"] == before["anon_inode"]
		}, patience, time.Millisecond)
	}
	assert.GreaterOrEqual(t, refused, 3, "a socket, a poll set, its waker")
}

package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

// randomBytes returns n bytes in which a lost, doubled or swapped piece cannot go unseen.
func randomBytes(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.Read(p) // never fails
	return p
}

func sum(p []byte) string { return fmt.Sprintf("%x", sha256.Sum256(p)) }

// exchange sends data in random pieces, half-closes, and reads what comes back at the same time.
func exchange(conn *net.TCPConn, data []byte) (back string, n int64, err error) {
	sent := make(chan error, 1)
	go func() {
		for rest := data; len(rest) > 0; {
			piece := min(len(rest), 1+mathrand.IntN(1<<mathrand.IntN(18)))
			if _, err := conn.Write(rest[:piece]); err != nil {
				sent <- err
				return
			}
			rest = rest[piece:]
		}
		sent <- conn.CloseWrite()
	}()
	hash := sha256.New()
	n, err = io.Copy(hash, conn)
	return fmt.Sprintf("%x", hash.Sum(nil)), n, errors.Join(err, <-sent)
}

func assertExchange(t *testing.T, addr string, data []byte) {
	t.Helper()
	back, n, err := exchange(program.DialTCP(t, addr), data)
	assert.NoError(t, err)
	assert.EqualValues(t, len(data), n)
	assert.Equal(t, sum(data), back, "what came back is not what was sent")
}

func sendsEverything(t *testing.T, echo starter) {
	addr := echo().Addr(t)
	assertExchange(t, addr, randomBytes(20<<20))
}

func repliesAfterHalfClose(t *testing.T, echo starter) {
	addr := echo().Addr(t)
	data, rounds := randomBytes(8<<20), 20
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		assertExchange(t, addr, data)
	}
}

// survivesDeafClients: 50 clients send for ever and read nothing. They fill the kernel's buffers
// and the connection's, and no more.
func survivesDeafClients(t *testing.T, echo starter) {
	const clients = 50
	p := echo()
	addr := p.Addr(t)
	good := program.DialTCP(t, addr)
	assertEchoes(t, good, "before")
	before := residentKB(t, p.PID())

	var stuck, ended sync.WaitGroup
	var conns []net.Conn
	for range clients {
		conn := program.DialTCP(t, addr)
		conns = append(conns, conn)
		stuck.Add(1)
		ended.Go(func() { sendForEver(conn, stuck.Done) })
	}
	worst := make(chan time.Duration)
	allStuck := make(chan struct{})
	go func() { stuck.Wait(); close(allStuck) }()
	go func() { worst <- worstEcho(good, allStuck) }()
	slowest := <-worst
	assert.Less(t, slowest, 10*time.Second, "a good client waits for those, and not for a busy machine")
	if runtime.GOOS == "linux" {
		grown := (residentKB(t, p.PID()) - before) / clients
		t.Logf("%d KB for each client, the good one waited %v at most", grown, slowest)
		assert.Less(t, grown, 300, "KB for each client")
	}
	for _, conn := range conns {
		conn.Close()
	}
	ended.Wait()
}

// keepsItsBudget: the same clients, where there is memory for the pending bytes of 38 of them.
func keepsItsBudget(t *testing.T, echo starter) {
	const clients = 50
	p := echo("-memory-budget", "98304", "-read-buffer-size", "2048")
	addr := p.Addr(t)
	good := program.DialTCP(t, addr)
	var stuck, ended sync.WaitGroup
	var conns []net.Conn
	for range clients {
		conn := program.DialTCP(t, addr)
		conns = append(conns, conn)
		stuck.Add(1)
		ended.Go(func() { sendForEver(conn, stuck.Done) })
	}
	stuck.Wait()
	p.AwaitStderr(t, `msg="memory budget: high water"`)
	for range 100 {
		assertEchoes(t, good, "there is always something left for little")
	}
	for _, conn := range conns {
		conn.Close()
	}
	ended.Wait()
	p.AwaitStderr(t, `msg="memory budget: low water"`)
	assertEchoes(t, good, "after")
}

// sendForEver writes until the connection is closed. It calls stuck once, when nothing more was
// taken for a while.
func sendForEver(conn net.Conn, stuck func()) {
	piece := make([]byte, 64<<10)
	var once sync.Once
	defer once.Do(stuck)
	for {
		_ = conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := conn.Write(piece); errors.Is(err, os.ErrDeadlineExceeded) {
			once.Do(stuck)
		} else if err != nil {
			return
		}
	}
}

// worstEcho exchanges small messages until enough is closed, and returns the longest that one took.
func worstEcho(conn net.Conn, enough <-chan struct{}) (worst time.Duration) {
	message := []byte("is anybody there?")
	answer := make([]byte, len(message))
	for {
		began := time.Now()
		_, err := conn.Write(message)
		if err == nil {
			_, err = io.ReadFull(conn, answer)
		}
		if err != nil || !bytes.Equal(message, answer) {
			return program.Limit
		}
		worst = max(worst, time.Since(began))
		select {
		case <-enough:
			return worst
		default:
		}
	}
}

// residentKB returns the process's resident memory, 0 where /proc does not tell.
func residentKB(t *testing.T, pid int) (kb int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(status), "VmRSS:")
	require.True(t, found)
	_, err = fmt.Sscan(rest, &kb)
	require.NoError(t, err)
	return kb
}

func forgetsResets(t *testing.T, echo starter) {
	if runtime.GOOS != "linux" {
		t.Skip("descriptors are counted in /proc")
	}
	p := echo()
	addr := p.Addr(t)
	assertEchoes(t, program.DialTCP(t, addr), "warm")
	descriptors := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
		require.NoError(t, err)
		return len(entries)
	}
	before := descriptors()
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	for i := range rounds {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		if i%2 == 0 { // half of them with an echo under way
			_, err = conn.Write([]byte("who rang?"))
			require.NoError(t, err)
		}
		require.NoError(t, conn.(*net.TCPConn).SetLinger(0))
		conn.Close()
	}
	assert.Eventually(t, func() bool { return descriptors() <= before }, program.Limit, 5*time.Millisecond,
		"%d descriptors before, %d now", before, descriptors())
}

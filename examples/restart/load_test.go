//go:build unix

package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
	"github.com/go-berth/berth/test/report"
)

var restarts = flag.Int("restarts", 10, "how often the server is replaced, over each transport and network")

// losesNoRequest: no request fails, no client is refused, and of the old processes nothing is left.
func losesNoRequest(t *testing.T, path string) {
	for _, network := range []struct{ says, network, addr, stream string }{
		{"poll", "tcp", "127.0.0.1:0", "-stream=false"},
		{"stream", "tcp", "127.0.0.1:0", "-stream=true"},
		{"unix", "unix", "", "-stream=false"},
	} {
		t.Run(network.says, func(t *testing.T) {
			addr := network.addr
			if network.network == "unix" {
				addr = t.TempDir() + "/s"
			}
			began := time.Now()
			p := start(t, path, "-network", network.network, "-addr", addr, network.stream)
			crowd := newCrowd(network.network, p.Addr(t))
			defer crowd.leave()

			process := p.PID()
			crowd.awaitAnswers(t, process)
			for range *restarts {
				next := hangUp(t, p, process)
				crowd.awaitAnswers(t, next)
				p.AwaitStdout(t, fmt.Sprintf("process %d has ended", process))
				process = next
			}
			crowd.leave()
			require.NoError(t, syscall.Kill(process, syscall.SIGTERM))
			assert.Zero(t, p.Wait(t), "the first one; and the others have closed the output that they share")

			assert.Empty(t, crowd.failures)
			assert.Len(t, crowd.processes, *restarts+1)
			for _, line := range p.Stderr() {
				assert.Contains(t, line, "level=INFO")
				if strings.Contains(line, "msg=stopped") {
					assert.Contains(t, line, "aborted=0 stuck=0")
				}
			}
			report.Add(t, report.Row{ID: "S11", Holds: "G3, G12", Duration: time.Since(began), Figures: map[string]any{
				"clients": clients, "requests": crowd.requests.Load(), "connections": crowd.connections.Load(), "restarts": *restarts,
				"processes that answered": len(crowd.processes), "failed requests": len(crowd.failures),
			}})
		})
	}
}

const clients = 20

// crowd is the clients: half of them connect for every request, the others send one after another
// on the same connection, until they are told to connect again.
type crowd struct {
	network, addr string
	requests      atomic.Int64
	connections   atomic.Int64

	stop    chan struct{}
	stopped sync.Once
	running sync.WaitGroup

	mu        sync.Mutex
	failures  []string
	processes map[string]int // how many answers each gave
	latest    [clients]streak
}

func newCrowd(network, addr string) *crowd {
	c := &crowd{network: network, addr: addr, stop: make(chan struct{}), processes: map[string]int{}}
	for number := range clients {
		most := 1 // requests on one connection
		if number%2 == 0 {
			most = 1 << 30
		}
		c.running.Go(func() {
			for !c.leaving() {
				if err := c.converse(number, most); err != nil {
					c.mu.Lock()
					c.failures = append(c.failures, err.Error())
					c.mu.Unlock()
				}
			}
		})
	}
	return c
}

// converse is one connection.
func (c *crowd) converse(number, most int) error {
	conn, err := net.Dial(c.network, c.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	c.connections.Add(1)
	answers := bufio.NewReader(conn)
	for told := false; most > 0 && !told && !c.leaving(); most-- {
		_ = conn.SetDeadline(time.Now().Add(program.Limit))
		request := fmt.Sprint("request ", c.requests.Add(1))
		if _, err := fmt.Fprintln(conn, request); err != nil {
			return fmt.Errorf("%s: %w", request, err)
		}
		for {
			line, err := answers.ReadString('\n')
			if err != nil {
				return fmt.Errorf("%s: %w", request, err)
			}
			if line == "reconnect\n" {
				told = true
				continue // the answer comes nevertheless
			}
			process, answer, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if answer != request {
				return errors.New(request + ": the answer is " + line)
			}
			c.mu.Lock()
			c.processes[process]++
			c.latest[number].add(process)
			c.mu.Unlock()
			break
		}
		time.Sleep(time.Millisecond) // the load of a client that does something with the answer
	}
	return nil
}

func (c *crowd) leaving() bool {
	select {
	case <-c.stop:
		return true
	default:
		return false
	}
}

// leave ends the clients, each after the answer it waits for.
func (c *crowd) leave() {
	c.stopped.Do(func() { close(c.stop) })
	c.running.Wait()
}

// streak is the process that has answered a client last, and how often in a row.
type streak struct {
	process string
	answers int
}

func (s *streak) add(process string) {
	if s.process != process {
		*s = streak{process: process}
	}
	s.answers++
}

// awaitAnswers waits until the process has answered every client ten times in a row.
func (c *crowd) awaitAnswers(t *testing.T, process int) {
	t.Helper()
	want := fmt.Sprint(process)
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, latest := range c.latest {
			if latest.process != want || latest.answers < 10 {
				return false
			}
		}
		return true
	}, program.Limit, time.Millisecond)
}

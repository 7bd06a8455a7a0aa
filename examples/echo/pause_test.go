//go:build unix

package main

import (
	"flag"
	"fmt"
	"io"
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

// The long form is 4,000 clients that send every second, an idle timeout of 3 s and a pause of 10
// s.
var (
	pauseClients = flag.Int("pause.clients", 100, "how many clients there are while the process is stopped")
	pauseEvery   = flag.Duration("pause.every", 200*time.Millisecond, "how often each of them sends")
	pauseIdle    = flag.Duration("pause.idle", time.Second, "the server's idle timeout")
	pauseFor     = flag.Duration("pause.for", 2*time.Second, "how long the process is stopped")
)

// The process is stopped for longer than its idle timeout, as where its machine is moved. The
// clients go on: none of them is ended, and every request is answered.
func TestAPauseOfTheProcessEndsNoConnection(t *testing.T) {
	path := program.Build(t, ".")
	for _, transport := range []string{"poll", "stream"} {
		t.Run(transport, func(t *testing.T) {
			outlivesAPause(t, func(arguments ...string) *program.Program {
				return program.Start(t, path, append([]string{"-transport", transport, "-addr", "127.0.0.1:0"}, arguments...)...)
			})
		})
	}
}

func outlivesAPause(t *testing.T, echo starter) {
	began := time.Now()
	p := echo("-idle-timeout", pauseIdle.String(), "-max-connections", "-1")
	addr := p.Addr(t)
	var clients, ready sync.WaitGroup
	var ended atomic.Int64
	stopped, going, enough := make(chan struct{}), make(chan struct{}), make(chan struct{})
	for n := range *pauseClients {
		conn := program.DialTCP(t, addr)
		ready.Add(1)
		clients.Go(func() {
			request, answer := fmt.Appendf(nil, "client %d\n", n), make([]byte, 32)
			exchange := func() bool {
				_, err := conn.Write(request)
				if err == nil {
					_, err = io.ReadFull(conn, answer[:len(request)])
				}
				return err == nil
			}
			pause := stopped // half of the clients stand still as well, as on the same machine
			if n%2 == 0 {
				pause = nil
			}
			served := exchange()
			ready.Done()
			time.Sleep(*pauseEvery * time.Duration(n) / time.Duration(*pauseClients)) // not all at once
			for ; served; served = exchange() {
				select {
				case <-enough:
					return
				case <-pause:
					<-going
					pause = nil
					time.Sleep(*pauseEvery)
				case <-time.After(*pauseEvery):
				}
			}
			ended.Add(1)
		})
	}
	ready.Wait()
	time.Sleep(3 * *pauseEvery) // the server has looked at most of them since they sent
	require.Zero(t, ended.Load())
	close(stopped)
	p.Signal(t, syscall.SIGSTOP)
	time.Sleep(*pauseFor) // a pause is time
	p.Signal(t, syscall.SIGCONT)
	close(going)
	time.Sleep(*pauseIdle)
	close(enough)
	clients.Wait()
	assert.Zero(t, ended.Load(), "of %d clients that sent every %v", *pauseClients, *pauseEvery)
	report.Add(t, report.Row{ID: "S10", Holds: "G11, G16", Figures: map[string]any{
		"clients": *pauseClients, "ended": ended.Load(), "idle timeout": pauseIdle.String(), "stopped for": pauseFor.String(),
	}, Duration: time.Since(began)})
}

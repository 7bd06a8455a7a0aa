//go:build linux

package attack

import (
	"bytes"
	"net"
	"sync"
)

// Neighbour runs one client that sends requests at full speed beside n good ones. The latency in
// Result is that of all n together.
func Neighbour(t Target, n int) (r Result, err error) {
	watchAll := func() (Latency, error) {
		var mu sync.Mutex
		var worst Latency
		var first error
		var watching sync.WaitGroup
		for range n {
			good, err := newProbe(t)
			if err != nil {
				return Latency{}, err
			}
			watching.Go(func() {
				defer good.close()
				l, err := good.watch(2 * measured)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					first = err
				}
				worst = Latency{max(worst.Median, l.Median), max(worst.P99, l.P99), max(worst.Worst, l.Worst)}
			})
		}
		watching.Wait()
		return worst, first
	}
	if r.Before, err = watchAll(); err != nil {
		return r, err
	}
	greedy, err := net.DialTimeout("tcp", t.Addr, Patience)
	if err != nil {
		return r, err
	}
	r.Attackers = 1
	var pushing sync.WaitGroup
	pushing.Go(func() {
		many := bytes.Repeat(t.request(string(bytes.Repeat([]byte("x"), 100))), 100)
		for {
			if _, err := greedy.Write(many); err != nil {
				return
			}
		}
	})
	pushing.Go(func() {
		scratch := make([]byte, 64<<10)
		for {
			if _, err := greedy.Read(scratch); err != nil {
				return
			}
		}
	})
	r.While, err = watchAll()
	_ = greedy.Close()
	pushing.Wait()
	if err == nil {
		r.New, err = t.Serves(Patience)
	}
	return r, err
}

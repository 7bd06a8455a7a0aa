//go:build linux

package attack

import (
	"net"
	"sync"
	"time"
)

// Exhaustion is the result of an attack with more clients than the process has descriptors.
type Exhaustion struct {
	Served    int           // clients that got an answer
	Lost      int           // served clients that got no answer any more during the attack
	Processor float64       // share of one core that the server used while no client asked anything
	Recovered time.Duration // how long after the crowd had gone a new client was served; 0: never
}

// Descriptors runs n clients against a server with fewer descriptors (RLIMIT_NOFILE) than that. The
// server must have been started with that limit.
func Descriptors(t Target, n int) (e Exhaustion, err error) {
	var served, waiting []net.Conn
	defer func() { leave(served); leave(waiting) }()
	var mu sync.Mutex
	var arriving sync.WaitGroup
	for range n {
		arriving.Go(func() {
			conn, err := net.DialTimeout("tcp", t.Addr, Patience)
			if err != nil {
				return // the server has closed its socket, or its backlog is full
			}
			_ = conn.SetDeadline(time.Now().Add(measured))
			err = t.exchange(conn, "first")
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				served = append(served, conn)
			} else {
				waiting = append(waiting, conn)
			}
		})
	}
	arriving.Wait()
	e.Served = len(served)

	before, began := t.Processor(), time.Now()
	time.Sleep(2 * time.Second)
	e.Processor = float64(t.Processor()-before) / float64(time.Since(began))

	for _, conn := range served {
		_ = conn.SetDeadline(time.Now().Add(Patience))
		if t.exchange(conn, "again") != nil {
			e.Lost++
		}
	}
	leave(served)
	leave(waiting)
	began = time.Now()
	for time.Since(began) < Patience {
		if _, err := t.Serves(time.Second); err == nil {
			e.Recovered = time.Since(began)
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return e, nil
}

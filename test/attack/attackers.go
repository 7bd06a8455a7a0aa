//go:build linux

package attack

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Result is the result of an attack.
type Result struct {
	Attackers     int           // that got in
	Before, While Latency       // of a good client that connected before
	EachKB        float64       // the server's memory for each attacker
	New           time.Duration // how long a new client took to be served during it; 0: it was not
	Gone          time.Duration // how long the server kept the attackers; 0: for the whole watch
}

// measured is how long a good client is watched, before and during an attack.
const measured = time.Second

// raid watches a good client without and with n attackers. The given function prepares each of
// them.
func raid(t Target, n int, position func(net.Conn) error) (r Result, attackers []net.Conn, err error) {
	good, err := newProbe(t)
	if err != nil {
		return r, nil, err
	}
	defer good.close()
	if r.Before, err = good.watch(measured); err != nil {
		return r, nil, fmt.Errorf("before the attack: %w", err)
	}
	memory := t.Memory()
	enough := good.stay()
	attackers, err = gather(t, n, position)
	r.Attackers = len(attackers)
	if err := errors.Join(err, enough()); err != nil {
		return r, attackers, err
	}
	// Measure only now: while the attackers connect, this process delays the good client as much as
	// the server does.
	if r.While, err = good.watch(measured); err != nil {
		return r, attackers, err
	}
	r.EachKB = float64(t.Memory()-memory) / 1024 / float64(max(n, 1))
	r.New, _ = t.Serves(Patience)
	return r, attackers, err
}

// dialers is how many attackers connect at the same moment.
const dialers = 64

// gather connects n attackers and prepares them.
func gather(t Target, n int, position func(net.Conn) error) (all []net.Conn, first error) {
	var mu sync.Mutex
	var dialling sync.WaitGroup
	tickets := make(chan struct{}, n)
	for range n {
		tickets <- struct{}{}
	}
	close(tickets)
	for range min(n, dialers) {
		dialling.Go(func() {
			for range tickets {
				conn, err := net.DialTimeout("tcp", t.Addr, Patience)
				if err == nil {
					err = position(conn)
				}
				mu.Lock()
				if conn != nil {
					all = append(all, conn)
				}
				if first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	dialling.Wait()
	return all, first
}

// leave ends the attack.
func leave(attackers []net.Conn) {
	for _, conn := range attackers {
		_ = conn.Close()
	}
}

// gone waits until the server has disconnected every attacker, and returns how long that took; 0
// means longer than limit.
func gone(attackers []net.Conn, limit time.Duration) time.Duration {
	began := time.Now()
	scratch := make([]byte, 64<<10)
	for _, conn := range attackers {
		_ = conn.SetReadDeadline(began.Add(limit))
		for {
			_, err := conn.Read(scratch)
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // what Read of a net.Conn returns
				return 0
			}
			if err != nil {
				break
			}
		}
	}
	return time.Since(began)
}

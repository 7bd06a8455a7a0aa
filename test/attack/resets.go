//go:build linux

package attack

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Resets runs clients that connect, send a request and reset, as fast as they can for the given
// time. Attackers is how many connected; New is how long a client took to be served afterwards.
// left is how many more descriptors the server has a moment later.
func Resets(t Target, lasting time.Duration) (r Result, left int, err error) {
	good, err := newProbe(t)
	if err != nil {
		return r, 0, err
	}
	defer good.close()
	if r.Before, err = good.watch(measured); err != nil {
		return r, 0, err
	}
	before := t.Descriptors()
	var came atomic.Int64
	var flood sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		flood.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				conn, err := net.DialTimeout("tcp", t.Addr, Patience)
				if err != nil {
					continue
				}
				came.Add(1)
				_, _ = conn.Write(t.request("x"))
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		})
	}
	r.While, err = good.watch(lasting)
	close(stop)
	flood.Wait()
	r.Attackers = int(came.Load())
	if err != nil {
		return r, 0, err
	}
	r.New, err = t.Serves(Patience)
	for deadline := time.Now().Add(Patience); t.Descriptors() > before && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	return r, t.Descriptors() - before, err
}

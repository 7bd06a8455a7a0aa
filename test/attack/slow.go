//go:build linux

package attack

import (
	"net"
	"sync"
	"time"
)

// Slow runs n clients that send a byte now and then and never finish a line.
func Slow(t Target, n int) (Result, error) {
	stop := make(chan struct{})
	var sending sync.WaitGroup
	r, attackers, err := raid(t, n, func(conn net.Conn) error {
		sending.Go(func() {
			every := time.NewTicker(100 * time.Millisecond)
			defer every.Stop()
			for {
				select {
				case <-stop:
					return
				case <-every.C:
				}
				if _, err := conn.Write([]byte("x")); err != nil {
					return // the server has disconnected it
				}
			}
		})
		return nil
	})
	close(stop)
	leave(attackers)
	sending.Wait()
	return r, err
}

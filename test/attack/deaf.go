//go:build linux

package attack

import (
	"bytes"
	"net"
	"time"
)

// Deaf runs n clients that send requests as long as the server takes them, and never read an
// answer. kept is how long to watch whether the server disconnects them.
func Deaf(t Target, n int, kept time.Duration) (Result, error) {
	many := bytes.Repeat(t.request(string(bytes.Repeat([]byte("x"), 1000))), 16)
	before := t.Descriptors()
	r, attackers, err := raid(t, n, func(conn net.Conn) error {
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10) // so that the server's memory fills, and little of the kernel's
		for {                                          // 64 of them at a time, so this is their time to fill the buffers
			_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := conn.Write(many); err != nil {
				return nil // nothing more is taken
			}
		}
	})
	defer leave(attackers)
	// Connections that the server has closed remain in the kernel, which still has answers for
	// them. Only the server's own files show that they are closed.
	for began := time.Now(); err == nil && time.Since(began) < kept; time.Sleep(time.Millisecond) {
		if t.Descriptors() <= before {
			r.Gone = time.Since(began)
			break
		}
	}
	return r, err
}

//go:build linux

package attack

import (
	"bytes"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Deaf is n clients that ask as long as anything is taken, and never read an answer. kept is how long to look whether the
// server gets rid of them.
func Deaf(t Target, n int, kept time.Duration) (Result, error) {
	many := bytes.Repeat(t.request(string(bytes.Repeat([]byte("x"), 1000))), 16)
	r, attackers, err := raid(t, n, func(conn net.Conn) error {
		for { // 64 of them at a time, so this is the time they have to fill what there is
			_ = conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := conn.Write(many); err != nil {
				return nil // nothing more is taken
			}
		}
	})
	defer leave(attackers)
	if err == nil && kept > 0 {
		r.Gone = sentAway(attackers, kept)
	}
	return r, err
}

// sentAway waits until the server has ended every attacker's connection, by FIN or RST, without reading what it sends. It returns how long
// that took; 0: longer than limit.
func sentAway(attackers []net.Conn, limit time.Duration) time.Duration {
	began := time.Now()
	for _, conn := range attackers {
		for !hungUp(conn) {
			if time.Since(began) > limit {
				return 0
			}
			time.Sleep(time.Millisecond)
		}
	}
	return time.Since(began)
}

// hungUp asks the kernel whether the other end has said its last word.
func hungUp(conn net.Conn) (gone bool) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, _ := unix.Poll(poll, 0)
		gone = n > 0 && poll[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLRDHUP) != 0
	})
	return gone || err != nil
}

//go:build linux

package attack

import (
	"net"
	"time"
)

// Silent is n clients that connect and say nothing. kept is how long to look whether the server
// gets rid of them.
func Silent(t Target, n int, kept time.Duration) (Result, error) {
	r, attackers, err := raid(t, n, func(net.Conn) error { return nil })
	defer leave(attackers)
	if err == nil {
		r.Gone = gone(attackers, kept)
	}
	return r, err
}

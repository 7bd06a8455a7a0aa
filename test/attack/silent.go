//go:build linux

package attack

import (
	"net"
	"time"
)

// Silent runs n clients that connect and send nothing. kept is how long to watch whether the server
// disconnects them.
func Silent(t Target, n int, kept time.Duration) (Result, error) {
	r, attackers, err := raid(t, n, func(net.Conn) error { return nil })
	defer leave(attackers)
	if err == nil {
		r.Gone = gone(attackers, kept)
	}
	return r, err
}

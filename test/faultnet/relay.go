package faultnet

import (
	"net"
	"sync"
	"time"
)

// relay is the network between the two ends of one connection.
type relay struct {
	network    *Network
	inside     net.Conn // the other end of it is used
	outside    net.Conn
	directions [2]*direction

	mu     sync.Mutex // held while a deadline for reading is set, so that none is set after Heal has called a reader back
	healed chan struct{}
	dead   chan struct{} // closed by kill
	over   int           // directions that have come to an orderly end
}

// heal lets everything through that is under way. It is called once.
func (r *relay) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.healed)
	for _, d := range r.directions {
		_ = d.from.SetReadDeadline(past)
	}
}

var past = time.Unix(1, 0)

// kill ends the connection.
func (r *relay) kill(how ending) {
	r.mu.Lock()
	first := !isClosed(r.dead)
	if first {
		close(r.dead)
	}
	r.mu.Unlock()
	if !first {
		return
	}
	for _, conn := range []net.Conn{r.inside, r.outside} {
		if how == reset {
			_ = resetConn(conn)
		} else {
			_ = conn.Close()
		}
	}
	r.network.forget(r)
}

// ended notes the orderly end of one direction.
func (r *relay) ended() {
	r.mu.Lock()
	r.over++
	last := r.over == len(r.directions)
	r.mu.Unlock()
	if last {
		r.kill(closed)
	}
}

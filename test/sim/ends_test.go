package sim

import (
	"net"
	"sync"
	"testing/synctest"
	"time"

	"github.com/go-berth/berth/test/history"
	"github.com/go-berth/berth/test/simnet"
)

// clientEnds are the clients' ends of a simulated network, by address.
type clientEnds struct {
	mu    sync.Mutex
	conns map[string]*simnet.Conn
}

func (cs *clientEnds) add(conn *simnet.Conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.conns == nil {
		cs.conns = map[string]*simnet.Conn{}
	}
	cs.conns[conn.LocalAddr().String()] = conn
}

// room is a history.Room.
func (cs *clientEnds) room(client net.Addr) (n int, known bool) {
	cs.mu.Lock()
	conn := cs.conns[client.String()]
	cs.mu.Unlock()
	if conn == nil {
		return 0, false
	}
	return conn.PeerRoom()
}

// full reports that the network takes no more for one of the clients.
func (cs *clientEnds) full(some []net.Addr) bool {
	for _, client := range some {
		if n, known := cs.room(client); known && n == 0 {
			return true
		}
	}
	return false
}

// discovery is longer than the time in which a transport that cannot ask finds out that a write
// blocks: twice 40 ms at most. A write that finds the queue full waits for that long.
const discovery = 85 * time.Millisecond

// rest waits until nothing moves any more, and records it. A write that waits for the transport to
// find out is not at rest.
func (cs *clientEnds) rest(r *history.Recorder) {
	for synctest.Wait(); cs.full(r.Moved()); synctest.Wait() {
		time.Sleep(discovery)
	}
	r.Note(history.Rest)
}

package faultnet

import (
	"math/rand/v2"
	"net"
	"sync"

	"github.com/go-berth/berth/test/simnet"
)

// Network puts toxics between connections and the code that uses them. Any goroutine may call its
// methods.
//
// Each connection has two goroutines, one for each direction. They end with the connection, that
// is, when both ends have closed it, or when a toxic or Close ends it; Close waits for them.
type Network struct {
	seed   uint64
	toxics []Toxic

	mu      sync.Mutex
	made    uint64 // connections so far
	healed  bool
	relays  map[*relay]struct{}
	running sync.WaitGroup
}

// NewNetwork returns a network that sends its connections through the toxics, in that order in both
// directions. The same seed makes the same random choices, connection by connection.
func NewNetwork(seed uint64, toxics ...Toxic) *Network {
	return &Network{seed: seed, toxics: toxics, relays: map[*relay]struct{}{}}
}

// Conn returns a connection that reads and writes conn through the toxics, and owns it from now on.
// Up to some 200 KiB of written bytes may be under way in each direction.
func (n *Network) Conn(conn net.Conn) net.Conn {
	near, far := simnet.Pipe(simnet.Options{})
	r := &relay{network: n, inside: far, outside: conn, healed: make(chan struct{}), dead: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	r.directions[0] = n.direction(r, conn, far, true)
	r.directions[1] = n.direction(r, far, conn, false)
	n.made++
	n.relays[r] = struct{}{}
	if n.healed {
		r.heal()
	}
	for _, d := range r.directions {
		n.running.Go(d.run)
	}
	return &toxicConn{Conn: near, outside: conn}
}

// Listener returns a listener of connections that go through the network.
func (n *Network) Listener(l net.Listener) *Listener {
	toxic := NewListener(l)
	toxic.Wrap(n.Conn)
	return toxic
}

// Heal ends all toxics, also for existing connections: bytes that were held back come through at
// once.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.healed {
		return
	}
	n.healed = true
	for r := range n.relays {
		r.heal()
	}
}

// Close resets the connections that are left, and waits for their goroutines.
func (n *Network) Close() {
	n.mu.Lock()
	var left []*relay
	for r := range n.relays {
		left = append(left, r)
	}
	n.mu.Unlock()
	for _, r := range left {
		r.kill(reset)
	}
	n.running.Wait()
}

func (n *Network) direction(r *relay, from, to net.Conn, inbound bool) *direction {
	d := &direction{relay: r, from: from, to: to}
	stream := 2 * n.made
	if inbound {
		stream++
	}
	d.begin(n.toxics, beginning{inbound: inbound, random: rand.New(rand.NewPCG(n.seed, stream))})
	return d
}

func (n *Network) forget(r *relay) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.relays, r)
}

// toxicConn is the end that is used.
type toxicConn struct {
	*simnet.Conn
	outside net.Conn
}

// LocalAddr implements net.Conn.
func (c *toxicConn) LocalAddr() net.Addr { return c.outside.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *toxicConn) RemoteAddr() net.Addr { return c.outside.RemoteAddr() }

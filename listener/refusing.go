package listener

import (
	"fmt"
	"maps"
	"net"
	"sync"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// client is an accepted client that is not a connection yet.
type client interface {
	RemoteAddr() net.Addr
	Close() error
}

// refuse turns a client away.
func (s *server) refuse(c client, why protocol.Refusal) {
	s.refused(c.RemoteAddr(), why)
	switch why {
	case protocol.RefusalFull, protocol.RefusalPerIP, protocol.RefusalRate:
		s.dismiss(c, s.options().RejectMessage)
	default:
		_ = c.Close()
	}
}

// refused takes note that a client was turned away.
func (s *server) refused(client net.Addr, why protocol.Refusal) {
	s.refusals.add(why)
	s.publish(&Rejected{Addr: s.addr, RemoteAddr: client, Reason: why})
}

// refusedBehindProxy is refused for a client that was admitted, and whose address became known by a
// PROXY header. The error ends its connection.
func (s *server) refusedBehindProxy(client net.Addr, why protocol.Refusal) error {
	s.refused(client, why)
	return fmt.Errorf("%w: %s", transport.ErrRefused, why)
}

// refusals counts the clients that were turned away. Any goroutine may call its methods.
type refusals struct {
	mu     sync.Mutex
	counts map[protocol.Refusal]uint64
}

func (r *refusals) add(why protocol.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[protocol.Refusal]uint64{}
	}
	r.counts[why]++
}

func (r *refusals) all() map[protocol.Refusal]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

// held are accepted clients that wait for their permits. An acceptor that lost a race for the last
// permit puts its client here, so there are no more of them than acceptors. Any goroutine may call
// its methods.
type held struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (h *held) push(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = append(h.conns, conn)
}

// pop returns nil if there is none.
func (h *held) pop() net.Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.conns) == 0 {
		return nil
	}
	conn := h.conns[0]
	h.conns[0] = nil
	h.conns = h.conns[1:]
	return conn
}

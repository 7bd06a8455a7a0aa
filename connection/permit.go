package connection

import "net"

// Permit is a connection's part of its listener's limits: of MaxConnections, and of the connections
// per address. Many connections may share one value.
type Permit struct {
	// Leave gives it back. It is called once for each connection that got the Permit, on any
	// goroutine: by the first Detach, else once the connection has sent its FIN (see linger), else
	// at the end.
	Leave func()
	// Admit decides about a client that comes through a proxy, once its PROXY header has told its
	// address. An error ends the connection before it is open. Admit is called on the connection's
	// turn. If it is nil, no header is expected.
	Admit func(client net.Addr) error
}

// Detach implements protocol.Socket.
func (c *Connection) Detach() {
	s := c.shared.Spawner
	s.mu.Lock()
	permit := c.permit
	if permit == nil || permit == waitsForFIN {
		s.mu.Unlock()
		return
	}
	c.permit = nil
	s.detached++
	s.mu.Unlock()
	permit.Leave()
}

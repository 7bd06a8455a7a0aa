package connection

import "net"

// Permit is what a connection takes of its listener's limits: of MaxConnections, of the connections
// per address. Many connections may share one value.
type Permit struct {
	// Leave gives it back. It is called once for each connection that got the Permit, on any
	// goroutine: by the first Detach, else once the connection has sent its FIN (see linger), else
	// at the end.
	Leave func()
	// Admit decides over a client that comes through a proxy, once its PROXY header has told its
	// address: an error ends the connection before it is open. It is called on the connection's
	// turn. nil: no header is expected.
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

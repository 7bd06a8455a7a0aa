package connection

import "net"

// Place is what a connection takes of its listener's limits: of MaxConnections, of the connections per address. Many
// connections may share one value.
type Place struct {
	// Leave gives it back. It is called once for each connection that got the Place, on any goroutine: by the first Uncount,
	// else once the connection has sent its FIN (see linger), else at the end.
	Leave func()
	// Admit decides over a client that comes through a proxy, once its PROXY header tells who it is: an error ends the connection
	// before it is open. It is called on the connection's turn. nil: no header is expected.
	Admit func(client net.Addr) error
}

// Uncount implements protocol.Socket.
func (c *Connection) Uncount() {
	s := c.shared.Spawner
	s.mu.Lock()
	place := c.place
	if place == nil || place == waitsForFIN {
		s.mu.Unlock()
		return
	}
	c.place = nil
	s.uncounted++
	s.mu.Unlock()
	place.Leave()
}

package connection

import (
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

var _ protocol.Proxied = (*Connection)(nil)

// ProxyHeader implements protocol.Proxied.
func (c *Connection) ProxyHeader() *protocol.ProxyHeader {
	proxied, ok := c.socket.(*transport.Proxied)
	if !ok {
		return nil
	}
	h := proxied.Header()
	if h == nil {
		return nil // the handshake failed, or goes on
	}
	return &protocol.ProxyHeader{
		Proxy:       proxied.Conn.RemoteAddr(),
		Version:     h.Version,
		Source:      h.Source,
		Destination: h.Destination,
		TLVs:        h.TLVs,
		Raw:         h.Raw,
	}
}

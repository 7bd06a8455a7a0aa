package admission

import (
	"net"
	"net/netip"
)

// Client is a connection, as far as its address goes.
type Client interface{ RemoteAddr() net.Addr }

// IPOf returns the IP address of a client, an IPv4-mapped one as IPv4; the zero Addr if it has
// none, as over a unix socket.
func IPOf(c Client) netip.Addr {
	if c, ok := c.(interface{ RemoteIP() netip.Addr }); ok {
		return c.RemoteIP() // without an allocation
	}
	return ipOfAddr(c.RemoteAddr())
}

func ipOfAddr(addr net.Addr) netip.Addr {
	switch addr := addr.(type) {
	case nil:
		return netip.Addr{}
	case *net.TCPAddr:
		return addr.AddrPort().Addr().Unmap()
	default:
		port, _ := netip.ParseAddrPort(addr.String())
		return port.Addr().Unmap()
	}
}

package listener

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// ProxyProtocol says whether clients come through proxies that put a PROXY header, version 1 or 2,
// before their bytes. Then every connection must begin with one, complete within HandshakeTimeout;
// the handler gets Accepted after it, and TLS begins behind it. RemoteAddr and LocalAddr are those
// that the header names, and Allow, Deny and MaxConnectionsPerIP judge the client by them. If it
// names none (LOCAL, UNKNOWN, UNSPEC), they are the socket's own. protocol.Proxied is the header
// itself.
type ProxyProtocol struct {
	// Enabled expects a header of every connection. Default false: a header that comes is data like
	// any other.
	Enabled bool
	// TrustedProxies are the networks from which proxies connect. A peer from elsewhere is closed
	// at once, because a header can claim any address.
	TrustedProxies []netip.Prefix
	// TrustUnix trusts the peers of a unix socket. They have no address. Every peer that the path's
	// permissions let in may claim any address.
	TrustUnix bool
}

func (p *ProxyProtocol) validate() error {
	named := len(p.TrustedProxies) > 0 || p.TrustUnix
	switch {
	case named && !p.Enabled:
		return errors.New("berth: ProxyProtocol has TrustedProxies or TrustUnix, but is not Enabled")
	case p.Enabled && !named:
		return errors.New("berth: ProxyProtocol needs TrustedProxies: without them, any client could claim any address")
	}
	for _, prefix := range p.TrustedProxies {
		if !prefix.IsValid() {
			return errors.New("berth: TrustedProxies must hold valid prefixes: use netip.ParsePrefix")
		}
	}
	return nil
}

// suits refuses settings that would turn all clients away.
func (p *ProxyProtocol) suits(addr net.Addr) error {
	switch {
	case !p.Enabled:
		return nil
	case isUnix(addr) && !p.TrustUnix:
		return fmt.Errorf("berth: ProxyProtocol on the unix socket %s needs TrustUnix: its clients have no address", addr)
	case !isUnix(addr) && len(p.TrustedProxies) == 0:
		return fmt.Errorf("berth: ProxyProtocol on %s needs TrustedProxies: TrustUnix is for unix sockets", addr)
	}
	return nil
}

func isUnix(addr net.Addr) bool {
	_, is := addr.(*net.UnixAddr)
	return is
}

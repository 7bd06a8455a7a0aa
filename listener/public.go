package listener

import (
	"net"
	"net/netip"
)

// isPublic reports whether clients outside of the host and of private networks may reach an
// address: it is of TCP, and neither loopback, nor link-local, nor private. The unspecified address
// is public, as the host may have such an address.
func isPublic(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip, ok := netip.AddrFromSlice(tcp.IP)
	if !ok {
		return true // no address is all addresses
	}
	ip = ip.Unmap()
	return !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast()
}

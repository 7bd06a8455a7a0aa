package protocol

import "net"

// ProxyHeader is the header of the PROXY protocol: a proxy sends it before the client's first byte
// to describe its client. If the header names Source and Destination, they are the socket's
// RemoteAddr and LocalAddr.
type ProxyHeader struct {
	// Proxy is the remote address of the socket itself: the proxy's.
	Proxy net.Addr
	// Version of the header: 1, a line of text, or 2, binary.
	Version int
	// Source is the client, Destination what it connected to. Both are nil where the header names
	// neither: a proxy that connects for itself, as for a health check (LOCAL), or that does not
	// know its client (UNKNOWN of version 1, an UNSPEC family or protocol of version 2).
	Source, Destination net.Addr
	// TLVs are version 2's further fields as they came: for each a byte of type, two of length,
	// big-endian, and the value. They have not been looked at, a checksum among them neither.
	TLVs []byte
	// Raw is the whole header. It must not be changed.
	Raw []byte
}

// Proxied is a Socket that has the ProxyHeader of its client. The sockets that handlers get
// implement it; a fake need not.
type Proxied interface {
	Socket
	// ProxyHeader returns nil where no proxy was expected.
	ProxyHeader() *ProxyHeader
}

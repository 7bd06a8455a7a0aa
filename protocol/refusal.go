package protocol

// Refusal says why a listener refused a client after accepting it. No handler saw the client, and
// it was never a connection, unless it came through a proxy: then it is judged by its PROXY header,
// and ends like a connection after a failed handshake.
type Refusal uint8

// The refusals.
const (
	// RefusalNone is no refusal.
	RefusalNone Refusal = iota
	// RefusalDenied: a deny list names the client's address, or an allow list does not.
	RefusalDenied
	// RefusalPerIP: MaxConnectionsPerIP connections from the client's address, or its network, were
	// open.
	RefusalPerIP
	// RefusalFull: MaxConnections connections were open.
	RefusalFull
	// RefusalRate: more clients came than AcceptRate allows.
	RefusalRate
	// RefusalUntrusted: a PROXY header was expected, and the client's own address is not one of the
	// trusted proxies.
	RefusalUntrusted
)

var refusalNames = [...]string{
	RefusalNone:      "none",
	RefusalDenied:    "denied",
	RefusalPerIP:     "too many connections from its address",
	RefusalFull:      "too many connections",
	RefusalRate:      "too many connections in a short time",
	RefusalUntrusted: "no trusted proxy",
}

// String returns the refusal in words, "unknown" for a value that is none of the constants.
func (r Refusal) String() string {
	if int(r) < len(refusalNames) {
		return refusalNames[r]
	}
	return "unknown"
}

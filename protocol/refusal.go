package protocol

// Refusal says why a listener turned a client away that it had accepted. The client was never a connection, and no handler saw it.
type Refusal uint8

// The refusals.
const (
	// RefusalNone is no refusal.
	RefusalNone Refusal = iota
	// RefusalDenied: a deny list names the client's address, or an allow list does not.
	RefusalDenied
	// RefusalPerIP: MaxConnectionsPerIP connections from the client's address, or its network, were open.
	RefusalPerIP
	// RefusalFull: MaxConnections connections were open.
	RefusalFull
	// RefusalRate: more clients came than AcceptRate allows.
	RefusalRate
)

var refusalNames = [...]string{
	RefusalNone:   "none",
	RefusalDenied: "denied",
	RefusalPerIP:  "too many connections from its address",
	RefusalFull:   "too many connections",
	RefusalRate:   "too many connections in a short time",
}

// String returns the refusal in words, "unknown" for a value that is none of the constants.
func (r Refusal) String() string {
	if int(r) < len(refusalNames) {
		return refusalNames[r]
	}
	return "unknown"
}

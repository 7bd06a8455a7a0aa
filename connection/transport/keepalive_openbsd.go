package transport

// The options for keep-alive probes: a socket has none of its own here.
const (
	keepIdle     = unknown
	keepInterval = unknown
	keepCount    = unknown
)

package protocol

import "fmt"

// State is the stage of a connection, from its accept to its end. It only moves forward.
type State uint8

// The states, in their order.
const (
	// StateOpening: a PROXY header or the TLS handshake is under way. The handler knows nothing of
	// the connection yet.
	StateOpening State = iota
	// StateOpen: input is shown and writes are accepted. A half-closed connection is open.
	StateOpen
	// StateFlushing: the end has begun. Accepted writes are still written, new writes are refused.
	StateFlushing
	// StateClosing: everything is written and FIN is sent. The connection waits for the peer's FIN.
	StateClosing
	// StateClosed: the socket is closed.
	StateClosed
)

var stateNames = [...]string{"opening", "open", "flushing", "closing", "closed"}

// String returns the state's name in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// MarshalText returns the same as String, so that JSON has names.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

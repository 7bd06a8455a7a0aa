package protocol

// The answers to a Connect of package listener, which asks a dialer for a connection. Its sender
// gets exactly one of the two, with the Ack of the Connect.

// Connected says that the connection is open: over TLS, that the handshake is done. It comes
// before, during or after the handler's Accepted.
type Connected struct {
	Ack    any
	Socket Socket // Socket.PID is the connection's address
}

// ConnectFailed says that there is no connection, and that nothing of one is left. Err is what
// Dial would have returned: the error of package net for a socket that could not be opened, what
// ended the connection before it was open, or that of the context.
type ConnectFailed struct {
	Ack  any
	Addr string // that of the Connect
	Err  error
}

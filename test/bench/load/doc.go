// Package load is the load generator: it drives an echo server over loopback, compares every byte
// that comes back with the byte that was sent, and reads the server's CPU clock and memory at the
// edges of the measured window.
//
// Each thread is one epoll loop that owns its connections; nothing on its path allocates, so the
// garbage collector is off. The role of a connection (echoer, pacer, churner, flooder, sleeper,
// idler) sets what it does. A case is a sequence of stages over such connections (run.go).
package load

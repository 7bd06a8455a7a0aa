// Package load is the load generator: it drives an echo server over loopback, compares every byte
// that comes back with the byte that was sent, and reads the server's CPU clock and memory at the
// edges of the measured window.
//
// Each thread is one epoll loop that owns its connections; nothing on its path allocates, so the
// garbage collector is off. What a connection does is its role (echoer, pacer, churner, flooder,
// sleeper, idler); what a case does is a sequence of stages over such connections (run.go).
package load

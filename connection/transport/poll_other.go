//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package transport

// PollSupported says whether this platform has the poll transport.
const PollSupported = false

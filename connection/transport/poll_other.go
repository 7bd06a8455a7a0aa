//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package transport

import "net"

// PollSupported says whether this platform has the poll transport.
const PollSupported = false

// Adoptable reports whether a socket of package net can be polled: never on this platform.
func Adoptable(net.Conn) bool { return false }

//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package transport

import (
	"crypto/tls"
	"net"
	"sync"
)

// PollSupported says whether this platform has the poll transport.
const PollSupported = false

// Adoptable reports whether a socket of package net can be polled: never on this platform.
func Adoptable(net.Conn) bool { return false }

func startPollTLS(Conn, *tls.Config, bool, *sync.WaitGroup) (Conn, bool) { return nil, false }

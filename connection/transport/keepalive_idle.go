//go:build linux || freebsd || netbsd || dragonfly

package transport

import "golang.org/x/sys/unix"

// The options for keep-alive probes.
const (
	keepIdle     = unix.TCP_KEEPIDLE
	keepInterval = unix.TCP_KEEPINTVL
	keepCount    = unix.TCP_KEEPCNT
)

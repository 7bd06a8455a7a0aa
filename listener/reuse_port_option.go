//go:build linux || darwin || netbsd || openbsd || dragonfly

package listener

import "golang.org/x/sys/unix"

const reusePort = unix.SO_REUSEPORT

package transport

import "golang.org/x/sys/windows"

// Windows has numbers of its own for errors of sockets; those of package syscall that have the
// names of unix are others.
func init() {
	resets = append(resets, windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.WSAENOTCONN)
}

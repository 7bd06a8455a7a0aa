package transport

import "golang.org/x/sys/windows"

// Windows has its own numbers for errors of sockets. The errors of package syscall with the names
// of unix have other numbers.
func init() {
	resets = append(resets, windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.WSAENOTCONN)
}

package listener

import "golang.org/x/sys/windows"

// acceptErrnosHere are the errors of Windows' own sockets: package syscall invents its error
// numbers there.
var acceptErrnosHere = []acceptErrno{
	{windows.WSAEMFILE, AcceptExhausted},
	{windows.WSAENOBUFS, AcceptExhausted},
	{windows.WSAECONNABORTED, AcceptClientGone},
	{windows.WSAECONNRESET, AcceptClientGone},
	{windows.WSAENETDOWN, AcceptClientGone},
	{windows.WSAEACCES, AcceptRefused},
	{windows.WSAENOTSOCK, AcceptSocketLost},
}

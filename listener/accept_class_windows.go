package listener

import "golang.org/x/sys/windows"

// acceptErrnosHere is what Windows' own sockets fail with: package syscall's names are inventions
// there.
var acceptErrnosHere = []acceptErrno{
	{windows.WSAEMFILE, AcceptExhausted},
	{windows.WSAENOBUFS, AcceptExhausted},
	{windows.WSAECONNABORTED, AcceptClientGone},
	{windows.WSAECONNRESET, AcceptClientGone},
	{windows.WSAENETDOWN, AcceptClientGone},
	{windows.WSAEACCES, AcceptRefused},
	{windows.WSAENOTSOCK, AcceptSocketLost},
}

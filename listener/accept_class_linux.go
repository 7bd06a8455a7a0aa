package listener

import "syscall"

// acceptErrnosHere is what other systems have no name for.
var acceptErrnosHere = []acceptErrno{
	{syscall.ENOSR, AcceptExhausted},
	{syscall.ENONET, AcceptClientGone},
}

package listener

import "syscall"

// acceptErrnosHere are errors that other systems have no name for.
var acceptErrnosHere = []acceptErrno{
	{syscall.ENOSR, AcceptExhausted},
	{syscall.ENONET, AcceptClientGone},
}

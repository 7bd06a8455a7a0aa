package wire

import "syscall"

// native are the errors of sockets here that differ from those that programs compare with.
var native = map[Code]error{
	Code_CODE_CONNECTION_RESET:   syscall.WSAECONNRESET,
	Code_CODE_CONNECTION_ABORTED: syscall.WSAECONNABORTED,
	Code_CODE_TIMED_OUT:          syscall.Errno(10060), // WSAETIMEDOUT
}

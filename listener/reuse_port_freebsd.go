package listener

import "golang.org/x/sys/unix"

// reusePort spreads the clients; FreeBSD's SO_REUSEPORT would give them all to one of the sockets.
const reusePort = unix.SO_REUSEPORT_LB

//go:build !unix

package listener

import "net"

// clientWaits cannot tell here.
func clientWaits(net.Listener) (there, known bool) { return false, false }

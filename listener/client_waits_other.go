//go:build !unix

package listener

import "net"

// clientWaits does not know.
func clientWaits(net.Listener) (there, known bool) { return false, false }

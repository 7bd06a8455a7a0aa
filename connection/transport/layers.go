package transport

import "net"

// Below returns conn as a T or, if it is none, the connection below it, as a tls.Conn returns it.
func Below[T any](conn net.Conn) (T, bool) {
	for range 8 { // a connection of the user's may return itself
		if it, ok := conn.(T); ok {
			return it, true
		}
		upper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = upper.NetConn()
	}
	var none T
	return none, false
}

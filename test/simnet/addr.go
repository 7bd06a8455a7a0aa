package simnet

import (
	"net"
	"strconv"
)

// network is the result of Network for every address here, and the network in every error.
const network = "sim"

// Addr is the address of an end: a name and a number in the form net.SplitHostPort takes, because
// code that limits connections by host will split it.
type Addr string

var _ net.Addr = Addr("")

// Network returns "sim".
func (Addr) Network() string { return network }

// String returns "name:number".
func (a Addr) String() string { return string(a) }

func addr(name string, number int) Addr {
	return Addr(net.JoinHostPort(name, strconv.Itoa(number)))
}

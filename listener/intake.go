package listener

import (
	"net"
	"os"

	"github.com/asynkron/protoactor-go/actor"
)

// intake is the accepting part of a transport: the props of its acceptors, and the listening
// sockets that they accept from. A listener has one socket for all of its acceptors, or one for
// each; its slot is its number.
type intake interface {
	// acceptor returns the props of an acceptor.
	acceptor(number int) *actor.Props
	// put fills a slot with a listening socket, which belongs to the intake from now on unless
	// there is an error. Acceptors name the socket by its generation when they lose it.
	put(slot int, generation uint64, l net.Listener) error
	// take closes the socket of a slot, if it has one: from then on the kernel refuses clients.
	take(slot int)
	// tune sets the socket options of connections that are accepted from now on.
	tune(o *Options) error
	// halt calls back the accepts that wait for clients; proceed lets acceptors accept again. Two
	// halts are the same as one.
	halt()
	proceed()
	// backlog accepts the clients that wait at the sockets already.
	backlog()
	// files returns duplicates of the sockets.
	files() ([]*os.File, error)
	// unlink says whether the path of a unix socket is removed when take closes it.
	unlink(slot int, unlinks bool)
	// grow makes acceptors up to the given number, shrink removes those from that number on. They
	// are called one at a time, while no socket is opened or closed.
	grow(number int) error
	shrink(number int)
	// nudge tells the acceptors that something has changed that they wait for.
	nudge()
	// letGo closes the clients that acceptors hold for want of room.
	letGo()
	// stop ends the waits of the acceptors. None of them runs any more.
	stop()
}

package listener

import (
	"errors"
	"os"
)

// This file hands a listening socket over to another process: the listener can end while the other
// process goes on serving.

// Files returns a duplicate of each listening socket, for a process that the caller starts; the
// caller closes them. They stay open when the listener ends. All of them are the same socket as the
// listener's: an option that is set on one, O_NONBLOCK too, is set on all. A net.Listener that has
// no descriptor is an error. Reexec does all of this.
func (l *Listener) Files() ([]*os.File, error) {
	return l.server.files()
}

// HandedOver tells the listener that another process has the listening socket now and serves it.
// The listener goes on accepting, beside the other process. When it ends, it leaves the clients in
// the backlog and the path of a unix socket to the other process. Reexec does this by itself. It is
// an error after the listener's end, which left neither.
func (l *Listener) HandedOver() error { return l.server.handOver(true) }

// handOver notes whether another process serves the sockets, and publishes it.
func (s *server) handOver(handedOver bool) error {
	if err := s.listenSockets.handOver(handedOver); err != nil || !handedOver {
		return err
	}
	s.handOvers.Add(1)
	s.publish(&HandedOver{Addr: s.addr})
	return nil
}

var errNoSocket = errors.New("berth: the listener has no listening socket now")

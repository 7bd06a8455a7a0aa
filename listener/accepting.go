package listener

import (
	"net"
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"

	"github.com/go-berth/berth/listener/internal/admission"
)

// This file holds what acceptors call on a server: it decides whether to accept, and what happens
// to accepted clients.

// goesOn waits while accepting is suspended. It returns false if the loop is to end.
func (s *server) goesOn(stop <-chan struct{}) bool {
	resumed := s.resumedChan()
	wait := seam.Wait()
	select {
	case <-stop:
	case <-s.closing:
	case <-resumed:
	}
	wait.Over()
	select { // again: of several that are ready, select takes any
	case <-stop:
		return false
	case <-s.closing:
		return false
	default:
		return true
	}
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// accepted makes a connection of conn, turns it away, or holds it until there is room. A net.Conn
// of the user's may panic here; then nothing of the client is kept.
func (s *server) accepted(conn net.Conn) {
	var permit *connection.Permit
	settled := false
	defer func() {
		if !settled {
			_ = conn.Close()
			if permit != nil {
				permit.Leave()
			}
		}
	}()
	ip := admission.IPOf(conn)
	permit, refusal, queues := s.admit(ip)
	switch {
	case refusal != protocol.RefusalNone:
		s.refuse(conn, refusal)
	case queues:
		s.enqueue(conn, ip, func(permit *connection.Permit) { s.beginStream(conn, permit) })
	case permit == nil:
		s.held.push(conn)
		s.letHeldGoWhileRefusing()
	default:
		s.stream(conn, permit)
	}
	settled = true
}

// stream makes a connection of conn.
func (s *server) stream(conn net.Conn, permit *connection.Permit) {
	o := s.options()
	tune(conn, o, s.bind != nil)
	s.limitKernel(conn, o)
	if o.TLSConfig != nil {
		s.spawn(transport.NewTLSStream(conn, o.TLSConfig, &s.readers), s.streamLane(), permit)
	} else {
		s.spawn(transport.NewStream(conn, &s.readers), s.streamLane(), permit)
	}
}

// beginStream is stream for a client that has waited. A net.Conn of the user's may panic here.
func (s *server) beginStream(conn net.Conn, permit *connection.Permit) {
	settled := false
	defer func() {
		if !settled {
			_ = conn.Close()
			permit.Leave()
		}
	}()
	s.stream(conn, permit)
	settled = true
}

// lateClient holds a client that came to a suspended listener, because Accept was not called back
// in time or could not be. Such a client waits, as those in the backlog do. lateClient returns a
// client to go on with, nil if there is none.
func (s *server) lateClient(conn net.Conn) net.Conn {
	if s.mode.Load() != suspended {
		return conn
	}
	s.held.push(conn)
	if s.mode.Load() == refusing { // and the clients that waited have been accepted already
		return s.held.pop()
	}
	return nil
}

// letHeldGoWhileRefusing is called each time that a client is held for want of room: a suspension
// that refuses clients may have let the held ones go before this one came.
func (s *server) letHeldGoWhileRefusing() {
	if s.mode.Load() == refusing {
		s.intake.letGo()
	}
}

// streamLane is the number of the dispatcher for connections that are not polled.
func (s *server) streamLane() int { return len(s.dispatchers) - 1 }

// spawn makes a connection that runs on the given one of the dispatchers.
func (s *server) spawn(conn transport.Conn, lane int, permit *connection.Permit) {
	s.spawned.Add(1)
	s.spawner.Load().Spawn(conn, lane, permit)
}

// acceptFailed reports a failed accept; the next one is tried after wait.
func (s *server) acceptFailed(err error, wait time.Duration) {
	s.acceptErrors.Add(1)
	s.publish(&AcceptFailed{Addr: s.addr, Err: err, Class: classify(err), Wait: wait})
}

// lost notes that other code closed the listening socket of a slot, and that the socket cannot be
// opened again. The connections stay.
func (s *server) lost(number int, err error) {
	if s.forget(number) {
		s.acceptFailed(err, 0)
	}
}

// acceptBacklog accepts the clients that wait at a socket already. It does nothing where Accept has
// no deadline.
func (s *server) acceptBacklog(socket *streamSocket) {
	if !socket.hold() {
		return
	}
	defer socket.release()
	for range mostBacklog {
		if free, _ := s.admission.Room(); !free {
			return
		}
		conn, err := s.held.pop(), error(nil)
		if conn == nil {
			if conn, err = socket.acceptNow(); err == nil {
				s.acceptCount.Add(1)
			}
		}
		switch {
		case err == nil:
			s.accepted(conn)
		case classify(err) != AcceptClientGone:
			return
		}
	}
}

package listener

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// This file is the server as its acceptors see it: whether to accept, and what becomes of who was accepted.

func (s *server) acceptorProps() *actor.Props {
	if s.polling != nil {
		return s.polling.props()
	}
	return actor.PropsFromProducer(func() actor.Actor { return &acceptor{server: s} }, actor.WithDispatcher(s.pool))
}

// scheduleAcceptor gives the poll transport's acceptor a turn.
func (s *server) scheduleAcceptor() {
	if s.polling != nil {
		s.polling.Schedule()
	}
}

// mayLoop lets an accept loop begin, unless accepting has ended for good: then drain has counted the loops already.
func (s *server) mayLoop() bool {
	s.gate.Lock()
	defer s.gate.Unlock()
	select {
	case <-s.closing:
		return false
	default:
	}
	s.loops.Add(1)
	return true
}

// mayAccept waits while accepting is suspended and, where clients are to wait in the backlog, until there is room. False: the loop ends.
func (s *server) mayAccept(stop <-chan struct{}) bool {
	select {
	case <-stop:
	case <-s.closing:
	case <-s.resumedChan():
	}
	select { // again: of several that are ready, select takes any
	case <-stop:
		return false
	case <-s.closing:
		return false
	default:
	}
	return s.admission.await(stop)
}

// takesMore is mayAccept for who must not wait. Whoever changes the answer schedules the poll transport's acceptor.
func (s *server) takesMore() bool {
	select {
	case <-s.resumedChan():
	default:
		return false
	}
	free, _ := s.admission.room()
	return free
}

// nextClient returns the next client to be accepted, those that are held first.
func (s *server) nextClient() (net.Conn, error) {
	if conn := s.held.pop(); conn != nil {
		return conn, nil
	}
	conn, err := s.listener.Accept()
	if err == nil {
		s.acceptCount.Add(1)
	}
	return conn, err
}

// accepted makes a connection of conn, turns it away, or holds it until there is room.
func (s *server) accepted(conn net.Conn) {
	place, refusal := s.admission.admit(ipOf(conn))
	switch {
	case refusal != protocol.RefusalNone:
		s.refuse(conn, refusal)
		return
	case place == nil:
		s.held.push(conn)
		return
	}
	o := s.options()
	tune(conn, o)
	if o.TLSConfig != nil {
		s.spawn(transport.NewTLSStream(conn, o.TLSConfig, &s.readers), 0, place)
	} else {
		s.spawn(transport.NewStream(conn, &s.readers), 0, place)
	}
}

// spawn makes a connection that runs on the given one of the dispatchers.
func (s *server) spawn(conn transport.Conn, lane int, place *connection.Place) {
	s.spawned.Add(1)
	s.spawner.Load().Spawn(conn, lane, place)
}

// acceptFailed reports a failed accept; the next one is tried after wait.
func (s *server) acceptFailed(err error, wait time.Duration) {
	s.acceptErrors.Add(1)
	s.publish(&AcceptFailed{Addr: s.addr, Err: err, Class: classify(err), Wait: wait})
}

// lost takes note that the listening socket was closed: by us, or by its maker, and then nothing more can be accepted. What is
// connected stays.
func (s *server) lost(err error) {
	select {
	case <-s.closing:
	default:
		s.socketLost.Store(true)
		s.acceptFailed(err, 0)
	}
}

// tune sets the socket options that a net.ListenConfig does not. Their errors are those of a connection that is gone already; reading will say so.
func tune(conn net.Conn, o *Options) {
	if c, ok := conn.(interface{ SetNoDelay(bool) error }); ok && o.DisableNoDelay {
		_ = c.SetNoDelay(false)
	}
	if c, ok := conn.(interface{ SetReadBuffer(int) error }); ok && o.RecvBufferSize > 0 {
		_ = c.SetReadBuffer(o.RecvBufferSize)
	}
	if c, ok := conn.(interface{ SetWriteBuffer(int) error }); ok && o.SendBufferSize > 0 {
		_ = c.SetWriteBuffer(o.SendBufferSize)
	}
}

// kick frees a blocked Accept without closing the socket. False: this listener cannot.
func (s *server) kick() bool {
	s.kicks.Add(1)
	return s.acceptUntil(time.Unix(1, 0))
}

// acceptUntil sets the deadline of Accept; zero: none. False: this listener has no such thing.
func (s *server) acceptUntil(deadline time.Time) bool {
	l, ok := s.listener.(interface{ SetDeadline(time.Time) error })
	return ok && l.SetDeadline(deadline) == nil
}

// acceptBacklog accepts the clients that had connected before the listener was told to shut down. To close the listening socket
// over their heads would reset them, and they may have sent something already. Where the socket lives on, the next process accepts them.
func (s *server) acceptBacklog() {
	if s.livesOn() || !s.kick() {
		return
	}
	s.loops.Wait()
	for left := mostBacklog; left > 0 && s.takesMore() && s.acceptUntil(time.Now().Add(backlogWait)); left-- {
		conn, err := s.nextClient()
		if err != nil {
			return
		}
		s.accepted(conn)
	}
}

// backlogWait is how long to look for one more client in the backlog. Package net looks once before it
// minds the deadline, but not if that has passed already.
const backlogWait = time.Millisecond

// mostBacklog bounds the search where clients keep coming: Linux's own limit, net.core.somaxconn.
const mostBacklog = 4096

// isKick reports that Accept returned because of a kick that came after so many. A deadline that passed without one is
// the listener's own affair, and a failure like any other: to try again at once would be to try for ever.
func (s *server) isKick(err error, kicks uint64) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && s.kicks.Load() != kicks
}

func (s *server) suspend(suspended bool) {
	s.gate.Lock()
	defer s.gate.Unlock()
	if suspended == s.suspended {
		return
	}
	s.suspended = suspended
	if suspended {
		s.resumed = make(chan struct{})
		s.kick()
	} else {
		s.acceptUntil(time.Time{})
		close(s.resumed)
		s.scheduleAcceptor()
	}
}

func (s *server) resumedChan() <-chan struct{} {
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.resumed
}

package listener

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/seam"
)

// This file suspends and resumes accepting, and ends it. What happens to the sockets is in
// listen_sockets.go.

var errCannotRefuse = errors.New("berth: a listener made by Serve cannot refuse clients: its socket could not be opened again")

// changes reports that the caller is the user's Control, which a change of the sockets calls. Such
// a caller must not wait for its turn to change them.
func (s *server) changes() bool {
	if s.options().ListenConfig.Control == nil {
		return false
	}
	const method = "github.com/go-berth/berth/listener.(*server).bindFor"
	return slices.Contains(connection.Enclosing(method), fmt.Sprintf("%p", s))
}

var errChanges = errors.New("berth: Control cannot suspend or resume the listener that calls it")

func (s *server) suspendAs(refuse bool) error {
	if refuse {
		return s.suspendRefusing()
	}
	return s.suspend()
}

// suspendRefusing accepts the clients that wait in the backlog and closes the listening sockets,
// unless accepting is resumed meanwhile.
func (s *server) suspendRefusing() error {
	if s.bind == nil {
		return errCannotRefuse
	}
	if s.changes() {
		return errChanges
	}
	if !s.enter() {
		return ErrClosed
	}
	defer s.leave()
	select {
	case <-s.begun: // before that, no client could be served
	case <-s.closing:
		return ErrClosed
	}
	s.gate.Lock()
	s.setModeLocked(refusing)
	s.gate.Unlock()
	if !s.livesOn() {
		s.intake.backlog()
	}
	if !s.beginChange() {
		return ErrClosed
	}
	defer s.endChange()
	if s.mode.Load() == refusing {
		s.vacate(s.filled(true)...)
		s.intake.letGo()
		s.turnQueueAway()
	}
	return nil
}

// resume accepts again. Listening sockets that were closed, or lost, are opened first. If that
// fails, nothing changes.
func (s *server) resume() error {
	return s.change(func() error {
		if s.bind != nil {
			if err := s.fill(s.filled(false)...); err != nil {
				return err
			}
		}
		s.gate.Lock()
		defer s.gate.Unlock()
		if s.shutDown() {
			return ErrClosed
		}
		s.setModeLocked(accepting)
		s.serveQueueSoon()
		return nil
	})
}

// change calls do, which opens and closes listening sockets, while no other change goes on.
func (s *server) change(do func() error) error {
	if s.changes() {
		return errChanges
	}
	if !s.enter() {
		return ErrClosed
	}
	defer s.leave()
	if !s.beginChange() {
		return ErrClosed
	}
	defer s.endChange()
	return do()
}

// resumeGuarded is resume for a goroutine of ours: the user's Control runs inside.
func (s *server) resumeGuarded() (err error) {
	if failure := guarded(func() { err = s.resume() }); failure != nil {
		return failure
	}
	return err
}

// reopen opens the socket of an empty slot, or of a slot that still has the lost socket of the
// given generation. Generation 0 means that no socket was lost.
func (s *server) reopen(number int, generation uint64) error {
	opened, err := s.openAgain(number, generation)
	if opened { // published when the change is over: a subscriber may make the next one
		s.publish(&Reopened{Addr: s.addr})
	}
	return err
}

// stopAccepting accepts the clients that wait, unless accepting is suspended. It closes the
// listening sockets and waits for all accepts and changes that have begun. After it no connection
// is added.
func (s *server) stopAccepting() {
	s.gate.Lock()
	open := s.mode.Load() == accepting
	close(s.closing)
	s.endLife()
	s.intake.halt()
	s.gate.Unlock()
	s.admission.Close()
	if open && !s.livesOn() { // where the socket lives on, the next process accepts them
		if err := guarded(s.intake.backlog); err != nil {
			s.acceptFailed(err, 0)
		}
	}
	s.vacate(s.filled(true)...)
	wait := seam.Wait()
	s.inside.Wait()
	wait.Over()
	s.intake.stop()
	s.queue.timer.stop()
	s.intake.letGo()
	s.turnQueueAway()
	s.rejections.end()
	s.counter.endAlarms()
}

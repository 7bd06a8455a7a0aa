package listener

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/go-berth/berth/connection"
)

// This file holds what the handle and the supervisor do with a server's listening sockets: whether
// it accepts from them, and whether they are open.

// The modes of a server decide what happens to new clients.
const (
	accepting uint32 = iota
	suspended        // the kernel's backlog keeps them
	refusing         // the listening sockets are closed, or will be in a moment
)

// slot is the place of one listening socket.
type slot struct {
	open       bool
	generation uint64 // counts the sockets that were put into any slot
	path       boundPath
}

var errCannotRefuse = errors.New("berth: a listener made by Serve cannot refuse clients: its socket could not be opened again")

// enter begins an accept, or a change of the listening sockets; leave ends it. It returns false
// once accepting has ended for good.
func (s *server) enter() bool {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.shutDown() {
		return false
	}
	s.inside.Add(1)
	return true
}

func (s *server) leave() { s.inside.Done() }

// beginChange lets one goroutine at a time open and close listening sockets. It is no mutex,
// because the user's Control runs meanwhile, and the end does not wait for its turn. It returns
// false once accepting has ended.
func (s *server) beginChange() bool {
	select {
	case s.changing <- struct{}{}:
		return true
	case <-s.closing:
		return false
	}
}

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

func (s *server) endChange() { <-s.changing }

// turn changes the mode. The gate is held.
func (s *server) turn(m uint32) {
	before := s.mode.Swap(m)
	switch {
	case before == accepting && m != accepting:
		s.resumed = make(chan struct{})
		s.intake.halt()
	case before != accepting && m == accepting:
		s.intake.proceed()
		s.serveQueueSoon()
		close(s.resumed)
	}
}

// suspend leaves clients in the backlog. A listener that refuses them goes on refusing.
func (s *server) suspend() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.shutDown() {
		return ErrClosed
	}
	if s.mode.Load() == accepting {
		s.turn(suspended)
	}
	return nil
}

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
	s.turn(refusing)
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
	s.turn(accepting)
	return nil
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

func (s *server) openAgain(number int, generation uint64) (opened bool, err error) {
	if !s.beginChange() {
		return false, nil
	}
	defer s.endChange()
	if p := s.slot(number); p.open && p.generation != generation || s.mode.Load() == refusing {
		return false, nil // another goroutine has opened it, or clients are to be refused
	}
	s.vacate(number)
	err = s.fill(number)
	return err == nil, err
}

func (s *server) slot(number int) slot {
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.slots[number]
}

// filled returns the slots with a socket, or those without.
func (s *server) filled(open bool) (numbers []int) {
	s.gate.Lock()
	defer s.gate.Unlock()
	for number, p := range s.slots {
		if p.open == open {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// vacate closes the open sockets of slots.
func (s *server) vacate(numbers ...int) {
	for _, number := range numbers {
		s.gate.Lock()
		p, elsewhere := s.slots[number], s.handedOver
		s.slots[number].open = false
		s.gate.Unlock()
		if p.open {
			s.closeSocket(number, p.path, elsewhere)
		}
	}
}

// closeSocket closes the socket of a slot. It removes the socket's path too, unless another process
// has the socket, or the path leads to another socket by now.
func (s *server) closeSocket(number int, path boundPath, elsewhere bool) {
	unlock := path.lock()
	defer unlock()
	switch o := s.origin; {
	case elsewhere, !path.ours(), o.reexec && !waiting.told():
		s.intake.unlink(number, false)
	case o.reexec && !o.managed: // the last process removes the path, as the first one would have
		s.intake.unlink(number, true)
	}
	s.intake.take(number)
}

// fill opens a socket for each of the slots, or for none if there is an error.
func (s *server) fill(numbers ...int) (err error) {
	var sockets []net.Listener
	defer func() {
		if err != nil {
			closeAll(sockets)
		}
	}()
	for range numbers {
		l, err := s.bindNow()
		if s.shutDown() { // the end need not have closed the socket before
			closeAll(sockets)
			if err == nil {
				_ = l.Close()
			}
			return nil
		}
		if err != nil {
			return err
		}
		sockets = append(sockets, l)
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.shutDown() {
		closeAll(sockets)
		return nil
	}
	return s.install(numbers, sockets)
}

// install puts a socket into each of the slots, or none if there is an error. The gate is held.
func (s *server) install(numbers []int, sockets []net.Listener) error {
	paths := make([]boundPath, len(sockets))
	for i, l := range sockets { // before the intake may close them
		paths[i] = boundPathOf(l, originOf(l).file)
	}
	for i, number := range numbers {
		s.generation++
		if err := s.intake.put(number, s.generation, sockets[i]); err != nil {
			for _, number := range numbers[:i] {
				s.slots[number].open = false
				s.intake.take(number)
			}
			return err
		}
		s.slots[number] = slot{open: true, generation: s.generation, path: paths[i]}
	}
	if s.mode.Load() != accepting {
		s.intake.halt()
	}
	return nil
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
	s.inside.Wait()
	s.intake.stop()
	s.queue.timer.stop()
	s.intake.letGo()
	s.turnQueueAway()
	s.rejections.end()
	s.counter.endAlarms()
}

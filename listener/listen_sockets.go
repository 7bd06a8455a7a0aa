package listener

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// The modes of a server decide what happens to new clients.
const (
	accepting uint32 = iota
	suspended        // the kernel's backlog keeps them
	refusing         // the listening sockets are closed, or will be in a moment
)

// listenSockets are the listening sockets of a server: whether it accepts from them, whether they
// are open, and whether another process has them too. The handle, the supervisor and the acceptors
// call their methods, on any goroutine.
type listenSockets struct {
	intake  intake                       // accepts from them
	origin  origin                       // of the first
	bind    func() (net.Listener, error) // opens one at the server's address; nil where Serve was given the only one
	openOne func() (net.Listener, error) // bind, guarded

	inside   sync.WaitGroup // accepts, and changes of the sockets; see enter
	changing chan struct{}  // has room for one; see beginChange
	closing  chan struct{}  // closed when accepting ends for good
	mode     atomic.Uint32  // changed under gate

	gate       sync.Mutex
	resumed    chan struct{} // closed while accepting
	slots      []slot
	generation uint64 // of the newest socket
	handedOver bool   // another process serves the sockets
}

// slot is the place of one listening socket.
type slot struct {
	open       bool
	generation uint64 // counts the sockets that were put into any slot
	path       boundPath
}

// newListenSockets returns so many, none of them open. They accept as soon as they are.
func newListenSockets(slots int) listenSockets {
	resumed := make(chan struct{})
	close(resumed)
	return listenSockets{
		changing: make(chan struct{}, 1),
		closing:  make(chan struct{}),
		resumed:  resumed,
		slots:    make([]slot, slots),
	}
}

// enter begins an accept, or a change of the listening sockets; leave ends it. It returns false
// once accepting has ended for good.
func (s *listenSockets) enter() bool {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.shutDown() {
		return false
	}
	s.inside.Add(1)
	return true
}

func (s *listenSockets) leave() { s.inside.Done() }

func (s *listenSockets) shutDown() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// beginChange lets one goroutine at a time open and close listening sockets. It is no mutex,
// because the user's Control runs meanwhile, and the end does not wait for its turn. It returns
// false once accepting has ended.
func (s *listenSockets) beginChange() bool {
	select {
	case s.changing <- struct{}{}:
		return true
	case <-s.closing:
		return false
	}
}

func (s *listenSockets) endChange() { <-s.changing }

// setModeLocked changes the mode. gate must be held.
func (s *listenSockets) setModeLocked(m uint32) {
	before := s.mode.Swap(m)
	switch {
	case before == accepting && m != accepting:
		s.resumed = make(chan struct{})
		s.intake.halt()
	case before != accepting && m == accepting:
		s.intake.proceed()
		close(s.resumed)
	}
}

func (s *listenSockets) resumedChan() <-chan struct{} {
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.resumed
}

// suspend leaves clients in the backlog. A listener that refuses them goes on refusing.
func (s *listenSockets) suspend() error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.shutDown() {
		return ErrClosed
	}
	if s.mode.Load() == accepting {
		s.setModeLocked(suspended)
	}
	return nil
}

func (s *listenSockets) openAgain(number int, generation uint64) (opened bool, err error) {
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

func (s *listenSockets) slot(number int) slot {
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.slots[number]
}

// forget takes note that other code closed the socket of a slot. It returns false if that is known.
func (s *listenSockets) forget(number int) bool {
	s.gate.Lock()
	defer s.gate.Unlock()
	open := s.slots[number].open
	s.slots[number].open = false
	return open
}

// filled returns the slots with a socket, or those without.
func (s *listenSockets) filled(open bool) (numbers []int) {
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
func (s *listenSockets) vacate(numbers ...int) {
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
func (s *listenSockets) closeSocket(number int, path boundPath, elsewhere bool) {
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
func (s *listenSockets) fill(numbers ...int) (err error) {
	var sockets []net.Listener
	defer func() {
		if err != nil {
			closeAll(sockets)
		}
	}()
	for range numbers {
		l, err := s.openOne()
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
	return s.installLocked(numbers, sockets)
}

// installLocked puts a socket into each of the slots, or none if there is an error. gate must be
// held.
func (s *listenSockets) installLocked(numbers []int, sockets []net.Listener) error {
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

// handOver notes whether another process serves the socket.
func (s *listenSockets) handOver(handedOver bool) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.shutDown() {
		return ErrClosed
	}
	s.handedOver = handedOver
	return nil
}

// livesOn reports that another process serves the socket, or will: a service manager keeps it for
// the next one.
func (s *listenSockets) livesOn() bool {
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.handedOver || s.origin.managed
}

func (s *listenSockets) files() ([]*os.File, error) {
	if s.shutDown() {
		return nil, ErrClosed
	}
	if len(s.filled(true)) == 0 {
		return nil, errNoSocket
	}
	return s.intake.files()
}

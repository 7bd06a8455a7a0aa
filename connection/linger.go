package connection

// This file handles the wait for the peer's FIN after ours. A connection waits without a Permit:
// clients that do not close must not keep others out. It still has its socket, so the number of
// those that wait is bounded.

// waitsForFIN is the Permit of a connection that has given its own back and waits for the peer's
// FIN.
var waitsForFIN = &Permit{}

// lingerers are the connections of a Spawner that wait for the peer's FIN without a Permit of their
// own; under the Spawner's lock.
type lingerers struct {
	most  int           // how many there may be
	count int           // how many there are
	line  []*Connection // the longest wait first; also some that have ended
}

// enter adds c. If there are too many already, it takes out the one that has waited longest, and
// returns it.
func (l *lingerers) enter(c *Connection) (oldest *Connection) {
	if l.count >= l.most {
		oldest = l.first()
	} else {
		l.count++
	}
	l.line = append(l.line, c)
	l.tidy()
	return oldest
}

// first takes the one that has waited longest out of the line.
func (l *lingerers) first() (c *Connection) {
	for c == nil || c.permit != waitsForFIN {
		c, l.line[0] = l.line[0], nil
		l.line = l.line[1:]
	}
	return c
}

// left notes that one of them has ended.
func (l *lingerers) left() {
	l.count--
	l.tidy()
}

// tidy removes connections that have ended from the line, if they are many.
func (l *lingerers) tidy() {
	const spare = 16
	if len(l.line) <= 2*l.count+spare {
		return
	}
	waiting := make([]*Connection, 0, l.count+spare)
	for _, c := range l.line {
		if c.permit == waitsForFIN {
			waiting = append(waiting, c)
		}
	}
	l.line = waiting
}

// linger gives the connection's Permit back: its FIN is sent. If too many wait already, the one
// that has waited longest ends now, and the Permit comes back with its end: so there are never more
// sockets than permits and lingerers together.
func (c *Connection) linger() {
	s := c.shared.Spawner
	s.mu.Lock()
	permit := c.permit
	if permit == nil || permit == waitsForFIN || s.lingerers.most <= 0 { // with none it keeps its Permit to the end
		s.mu.Unlock()
		return
	}
	c.permit = waitsForFIN
	oldest := s.lingerers.enter(c)
	if oldest != nil {
		oldest.permit = permit
	}
	s.mu.Unlock()
	if oldest != nil {
		oldest.signal(signalLate)
	} else {
		permit.Leave()
	}
}

// SetLingerers sets how many connections may wait for the peer's FIN without a Permit, from now on.
// With 0 a connection keeps its Permit to its end. Any goroutine may call it.
func (s *Spawner) SetLingerers(most int) {
	s.mu.Lock()
	s.lingerers.most = max(most, 0)
	s.mu.Unlock()
}

// noteClosing makes the sweep come often enough for LingerTimeout, which is short and concerns few
// connections. Every sweep finds out anew whether there are any. Any goroutine may call it.
func (s *Spawner) noteClosing() {
	if !s.closing.Load() && s.closing.CompareAndSwap(false, true) && s.sooner != nil {
		s.sooner()
	}
}

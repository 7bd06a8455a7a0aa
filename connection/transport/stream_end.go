package transport

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// This file detects the end of a Stream's input while nothing is fetched.

// answer is one that Hold took from the reader.
type answer struct {
	chunk *Chunk
	n     int
}

// mostHeld bounds the answers that are held, and with it the memory behind small ones.
const mostHeld = 8

// Hold implements Conn. The answers stay apart, and the questions are as large as without Hold, so
// the handler is shown the same pieces. Only if no more input waits, the next question is limited
// to the room that is left.
func (s *Stream) Hold(room int) bool {
	free := room
	for _, one := range s.held {
		free -= one.n
	}
	switch {
	case !s.answered.Load():
		return s.asking || s.askWithin(free, s.question(room))
	case s.err != nil:
		return !errors.Is(s.err, io.EOF) // a reset may follow
	case len(s.held) == mostHeld:
		return false
	}
	n, next := s.n-s.start, s.question(room)
	if s.drained() {
		next = min(next, free-n)
	}
	if next <= 0 || next > free-n {
		return false
	}
	s.keep(n)
	_ = s.fetched()
	return s.askWithin(free-n, next)
}

// drained reports whether the last read took all input. With TLS that is not known: it gives a
// record at a time.
func (s *Stream) drained() bool {
	_, records := s.conn.(handshaker)
	return !s.filled && !records
}

// question returns how much a read of at most room bytes asks for. The reader must be waiting.
func (s *Stream) question(room int) int { return min(room, max(s.hint, minChunk)) }

func (s *Stream) askWithin(free, room int) bool {
	if room <= 0 || room > free {
		return false
	}
	s.ask(room)
	return true
}

// keep moves the reader's answer, of which n bytes are left, to what is held. Small answers share a
// chunk.
func (s *Stream) keep(n int) {
	s.Shrink()
	c, small := s.rest(), s.drained()
	s.chunk, s.start, s.n = nil, 0, 0
	if n == 0 {
		return
	}
	if last := len(s.held) - 1; small && last >= 0 && s.held[last].n+n <= len(s.held[last].chunk.Bytes) {
		one := &s.held[last]
		one.n += copy(one.chunk.Bytes[one.n:], c.Bytes[:n])
		c.Release()
		return
	}
	s.held = append(s.held, answer{c, n})
}

// fillHeld gives at most room bytes of the first answer that is held.
func (s *Stream) fillHeld(in *Input, room int) int {
	one := &s.held[0]
	if one.n > room {
		part := NewChunk(room)
		copy(part.Bytes[:room], one.chunk.Bytes)
		one.n = copy(one.chunk.Bytes, one.chunk.Bytes[room:one.n])
		in.Append(part, room)
		return room
	}
	c, n := one.chunk, one.n
	if s.held = s.held[1:]; len(s.held) == 0 {
		s.held = nil
	}
	in.Append(c, n)
	return n
}

// EndSeen implements Conn: it returns the end that the reader has met or, if the reader has
// stopped, what the socket says.
func (s *Stream) EndSeen(look bool) (finished bool, err error) {
	switch answered := s.answered.Load(); {
	case s.asking && !answered:
		return false, nil // the reader will tell
	case answered && errors.Is(s.err, io.EOF):
		finished = true
	case answered && s.err != nil:
		return true, s.err
	}
	if !look {
		return finished, nil
	}
	s.Control(func(fd uintptr) {
		known, broken := lookForEnd(int(fd))
		finished = finished || known
		if broken {
			err = socketError(int(fd))
		}
	})
	return finished, err
}

// LookForEnd implements Conn.
func (s *Stream) LookForEnd() (finished, broken bool) {
	s.Control(func(fd uintptr) { finished, broken = lookForEnd(int(fd)) })
	return finished, broken
}

// breaker is a net.Conn that knows by itself whether the peer has reset it.
type breaker interface{ Broken() bool }

// Broken implements Conn.
func (s *Stream) Broken() (broken bool) {
	if b, ok := bottom(s.socket).(breaker); ok {
		return b.Broken()
	}
	if _, tcp := s.socket.RemoteAddr().(*net.TCPAddr); tcp {
		s.Control(func(fd uintptr) { broken = hungUp(int(fd)) })
	}
	return broken
}

// Unread implements Conn. With TLS the bytes below it count.
func (s *Stream) Unread() (n int) {
	s.Control(func(fd uintptr) { n = unread(int(fd)) })
	for _, one := range s.held {
		n += one.n
	}
	if s.answered.Load() {
		n += s.n - s.start
	}
	return n
}

// Control implements Conn.
func (s *Stream) Control(f func(fd uintptr)) bool {
	c, ok := bottom(s.socket).(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	return err == nil && raw.Control(f) == nil
}

package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-berth/berth/internal/seam"
)

// Stream is a Conn over any net.Conn: TLS, Windows, listeners of the user, simulated networks.
//
// It has one goroutine, the reader, which does only what it is asked for: Ready asks for one read,
// Handshake for the handshake. The reader does it and announces it. Open starts the reader. It ends
// after an error, or by Close or Abort: the closed net.Conn fails the read, the closed channel ends
// the wait. It is joined through the WaitGroup given to NewStream.
type Stream struct {
	socket net.Conn    // as it was given
	config *tls.Config // Handshake puts TLS over it; nil: it has, or does not
	client bool        // at the client's side
	conn   net.Conn    // what is read and written: socket, or TLS over it
	events Events
	joined *sync.WaitGroup

	asked chan int      // how much the reader may read, or handshake; room for the one question that can be open
	stop  chan struct{} // closed by Close and Abort
	ended atomic.Bool   // by Close or Abort

	asking bool     // connection's turn only: a question is with the reader
	held   []answer // connection's turn only: what Hold took from the reader; fetched first

	steps  stepper               // to socket
	below  atomic.Pointer[below] // between socket and TLS; nil where there is no TLS of ours, or none yet
	called atomic.Bool           // the reader is called back from a read before TLS

	// The reader's answer. Written before answered is set, read after it was seen set.
	answered atomic.Bool
	chunk    *Chunk
	start    int // chunk.Bytes[start:n] is what Fill has not returned yet
	n        int
	filled   bool // as many as were asked for
	err      error
	hint     int // the reader's own: as Input.hint
}

var _ Conn = (*Stream)(nil)

// NewStream wraps conn, which belongs to the Stream from now on. joined, if not nil, is done when
// the reader has ended.
func NewStream(conn net.Conn, joined *sync.WaitGroup) *Stream {
	s := &Stream{socket: conn, conn: conn, joined: joined, asked: make(chan int, 1), stop: make(chan struct{})}
	s.steps = newSteps(s)
	return s
}

// Open implements Conn.
func (s *Stream) Open(events Events) bool {
	s.events = events
	if s.joined != nil {
		s.joined.Add(1)
	}
	seam.Go(s.answer)
	_, ok := s.conn.(handshaker)
	return s.config == nil && !ok
}

// answer is the reader.
func (s *Stream) answer() {
	if s.joined != nil {
		defer s.joined.Done()
	}
	working := false
	defer func() {
		if working { // the user's code has ended the goroutine
			s.err = errGoexit
			s.answered.Store(true)
			s.events.Readable(false)
		}
	}()
	for begun := false; s.err == nil; begun = true {
		question, ok := s.awaitQuestion()
		if !ok {
			return
		}
		working = true
		if !begun || question == handshake { // a read would do it too
			s.err = s.shakeHands()
		}
		if question != handshake && s.err == nil {
			s.read(question)
		}
		working = false
		s.answered.Store(true)
		s.events.Readable(true)
	}
}

func (s *Stream) awaitQuestion() (question int, ok bool) {
	wait := seam.Wait()
	defer wait.Over()
	if s.ended.Load() {
		return 0, false
	}
	select {
	case question = <-s.asked:
		return question, true
	case <-s.stop:
		return 0, false
	}
}

// read does one read.
func (s *Stream) read(room int) {
	c := NewChunk(s.question(room))
	space := c.Bytes[:min(room, len(c.Bytes))]
	n, err := s.readGuarded(space)
	if err != nil && s.called.Load() && isTimeout(err) {
		err = nil
	}
	switch {
	case n == len(space):
		s.hint = 2 * len(space)
	case n < len(space)/4:
		s.hint = len(space) / 2
	}
	if n == 0 {
		c.Release()
		c = nil
	}
	s.chunk, s.start, s.n, s.filled, s.err = c, 0, n, n == len(space), err
}

// readGuarded reads. The net.Conn may be the user's, and so are TLS's callbacks in a renegotiation:
// their panic ends this connection, not the process.
func (s *Stream) readGuarded(p []byte) (n int, err error) {
	defer func() {
		if value := recover(); value != nil {
			n, err = 0, &PanicError{value, debug.Stack()}
		}
	}()
	return s.conn.Read(p)
}

// PanicError is the error of a read that panicked.
type PanicError struct {
	Value any
	Stack []byte // the stack at the panic, as debug.Stack prints it
}

// Error names the value but not the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("reading panicked: %v", e.Value) }

// errGoexit is the error of a read, or a handshake, that ended its goroutine.
var errGoexit = errors.New("reading called runtime.Goexit")

// Ready implements Conn: it asks the reader unless it was asked already.
func (s *Stream) Ready(room int) bool {
	if len(s.held) > 0 || s.answered.Load() {
		return true
	}
	s.ask(room)
	return false
}

// ask asks the reader for one read, if no question is open.
func (s *Stream) ask(room int) {
	if !s.asking {
		s.asking = true
		s.asked <- room
	}
}

// Growth implements Conn.
func (s *Stream) Growth(in *Input, room int) int {
	if len(s.held) > 0 {
		return growth(in, s.held[0].chunk, s.held[0].n, room)
	}
	return growth(in, s.chunk, s.n-s.start, room)
}

func growth(in *Input, c *Chunk, n, room int) int {
	switch {
	case n == 0:
		return 0
	case n > room:
		return in.AppendGrowth(ChunkSize(room), room)
	default:
		return in.AppendGrowth(len(c.Bytes), n)
	}
}

// Fill implements Conn.
func (s *Stream) Fill(in *Input, room int) (int, error) {
	if !s.Ready(room) {
		return 0, ErrAgain
	}
	if len(s.held) > 0 {
		return s.fillHeld(in, room), nil
	}
	n := s.n - s.start
	if n > room {
		return s.fillPart(in, room), nil
	}
	if n > 0 {
		in.Append(s.rest(), n)
		s.chunk, s.start, s.n = nil, 0, 0
		if s.err != nil {
			return n, nil // the error stays for the next call: what came before it is shown first
		}
	}
	return n, s.fetched()
}

// fetched notes that the reader's answer was fetched. An error is its last and stays.
func (s *Stream) fetched() error {
	if s.err == nil {
		s.asking = false
		s.answered.Store(false)
	}
	return s.err
}

// Blocks implements Conn.
func (s *Stream) Blocks() bool { return true }

// CloseWrite implements Conn. With TLS, close_notify comes first, and the FIN at once after it.
func (s *Stream) CloseWrite() error { return closeWrite(s.conn) }

func closeWrite(conn net.Conn) error {
	h, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return ErrNoHalfClose
	}
	raceRelease()
	if err := h.CloseWrite(); err != nil || !secured(conn) {
		return err
	}
	t, ok := conn.(interface{ NetConn() net.Conn })
	if !ok {
		return nil
	}
	err := closeWrite(t.NetConn())
	if errors.Is(err, ErrNoHalfClose) {
		return nil // close_notify says it, too
	}
	return err
}

// CloseNotify implements Conn. A tls.Conn's Close would say it too, but on the connection's turn,
// and for up to 5 s where the peer does not read.
func (s *Stream) CloseNotify() error {
	if !secured(s.conn) {
		return nil
	}
	return s.CloseWrite()
}

// Close implements Conn. If the Stream put TLS over the connection, CloseNotify or CloseWrite has
// sent what the tls.Conn's Close would send.
func (s *Stream) Close() error {
	if s.ended.Swap(true) {
		return nil
	}
	close(s.stop)
	raceRelease()
	return s.socket.Close()
}

// Abort implements Conn. That the Stream has ended is set before the deadlines: a write that was
// interrupted looks at it.
func (s *Stream) Abort() {
	first := !s.ended.Swap(true)
	socket := s.socket
	if secured(socket) {
		socket = bottom(socket) // the other's Close first says closeNotify, for up to 5 s where the peer does not read
	}
	// Past deadlines free blocked calls, also in a Close that is under way.
	_ = socket.SetDeadline(past)
	if !first {
		return
	}
	close(s.stop)
	if l, ok := bottom(socket).(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	raceRelease()
	_ = socket.Close()
}

var past = time.Unix(1, 0)

// bottom returns the connection below others that return it, as a tls.Conn does.
func bottom(conn net.Conn) net.Conn {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	return conn
}

// Progress implements Conn.
func (s *Stream) Progress() (read, written uint64) {
	b := s.below.Load()
	if b == nil {
		return 0, 0
	}
	return b.read.Load(), b.written.Load()
}

// Retry implements Conn.
func (s *Stream) Retry(last bool) { s.steps.retry(last) }

// LocalAddr implements Conn.
func (s *Stream) LocalAddr() net.Addr { return s.socket.LocalAddr() }

// RemoteAddr implements Conn.
func (s *Stream) RemoteAddr() net.Addr { return s.socket.RemoteAddr() }

//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
)

// PollTLS is a Poll with TLS over it, by crypto/tls. It has a goroutine only during the handshake.
//
// A tls.Conn can be read again after a temporary error, which leaves the record that has come in
// part where it is. So the connection below returns such an error where a socket would block, and
// Fill reads on the connection's turn. An error of the handshake is final, so the handshake has a
// goroutine that may wait. A tls.Conn cannot go on after a record that was written in part, so
// ciphertext goes into a queue; see poll_tls_write.go. TestCryptoTLS pins what of this is not
// documented by crypto/tls.
//
// Poll announces its events to the PollTLS, which announces its own to the connection.
type PollTLS struct {
	*Poll
	events Events
	joined *sync.WaitGroup // nil, or done when the handshake's goroutine has ended
	config *tls.Config     // nil once the handshake has begun
	client bool            // at the client's side
	conn   *tls.Conn       // nil until the handshake begins
	shakes atomic.Pointer[shake]

	// The handshake's goroutine, then the connection's turn.
	first  []byte // read before TLS, and not given to it yet
	inside int    // bytes that the tls.Conn was given since a read of it last would have blocked, without those that it returned

	// The connection's turn.
	lent  *Chunk // nil, or the memory of the tls.Conn; see poll_tls_memory.go
	more  bool   // the tls.Conn may return bytes that it has already
	ended error  // the end of the input
	held  Input  // what Hold has read

	came, went atomic.Uint64 // bytes below TLS

	out output
}

// shake is a handshake under way.
type shake struct {
	news chan struct{} // the socket is readable, or has been closed; room for one
	over atomic.Bool   // err is set
	err  error
}

func (s *shake) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

var _ Conn = (*PollTLS)(nil)
var _ Events = (*PollTLS)(nil)

// NewPollTLS puts TLS over p, at the server's side. joined, if not nil, is done when the
// handshake's goroutine has ended.
func NewPollTLS(p *Poll, config *tls.Config, joined *sync.WaitGroup) *PollTLS {
	return &PollTLS{Poll: p, config: config, joined: joined}
}

// NewPollTLSClient is NewPollTLS at the client's side. config must not be one that
// Renegotiates.
func NewPollTLSClient(p *Poll, config *tls.Config, joined *sync.WaitGroup) *PollTLS {
	return &PollTLS{Poll: p, config: config, joined: joined, client: true}
}

// startPollTLS is StartTLS for a Poll.
func startPollTLS(conn Conn, config *tls.Config, client bool, joined *sync.WaitGroup) (Conn, bool) {
	p, ok := conn.(*Poll)
	if !ok {
		return nil, false
	}
	t := &PollTLS{Poll: p, config: config, joined: joined, client: client, events: p.events}
	own := *p.origin.Load()
	own.upper = t
	p.origin.Store(&own)
	p.marks.Or(covered)
	return t, true
}

// Open implements Conn.
func (t *PollTLS) Open(events Events) bool {
	t.events = events
	t.Poll.Open(t)
	return false
}

// Readable implements Events: Poll calls it.
func (t *PollTLS) Readable(lent bool) {
	if s := t.shakes.Load(); s != nil {
		s.wake()
	} else {
		t.events.Readable(lent)
	}
}

// Full implements Events: Poll does not call it.
func (t *PollTLS) Full() {}

// Handshake implements Conn. Its goroutine is started when there is something to do: at the
// server's side, when the client's first bytes have come. Bytes of in, read before TLS, are the
// beginning of TLS.
func (t *PollTLS) Handshake(in *Input, _ int) error {
	switch s := t.shakes.Load(); {
	case s == nil && !t.client && in.Len() == 0 && !t.marked(readable):
		return ErrAgain
	case s == nil:
		t.begin(in)
		return ErrAgain
	case !s.over.Load():
		return ErrAgain
	default:
		t.shakes.Store(nil)
		dropBuffers(t.conn)
		t.inside = 0
		t.more = true // the client's first bytes may have come with its last ones of the handshake
		return s.err
	}
}

func (t *PollTLS) begin(in *Input) {
	if in.Len() > 0 {
		t.first = bytes.Clone(in.Bytes())
		in.Release()
	}
	if t.client {
		t.conn = tls.Client((*belowTLS)(t), t.config)
	} else {
		t.conn = tls.Server((*belowTLS)(t), t.config)
	}
	t.config = nil
	s := &shake{news: make(chan struct{}, 1)}
	t.shakes.Store(s)
	if t.joined != nil {
		t.joined.Add(1)
	}
	go t.shakeHands(s)
}

// shakeHands is the handshake's goroutine. It is guarded: a tls.Config's callbacks are the user's
// code. There is no deadline: HandshakeTimeout aborts the connection, and that ends the wait for
// the socket.
func (t *PollTLS) shakeHands(s *shake) {
	returned := false
	defer func() {
		switch value := recover(); {
		case value != nil:
			s.err = fmt.Errorf("handshake panicked: %v", value)
		case !returned: // runtime.Goexit
			s.err = errors.New("handshake: a callback has ended its goroutine")
		}
		s.over.Store(true)
		t.events.Readable(false)
		if t.joined != nil {
			t.joined.Done()
		}
	}()
	s.err = t.conn.HandshakeContext(context.Background())
	returned = true
	runtime.KeepAlive(t) // a stack trace shows it
}

// TLS implements Conn.
func (t *PollTLS) TLS() *tls.ConnectionState {
	if t.conn == nil {
		return nil
	}
	state := t.conn.ConnectionState()
	return &state
}

// Ready implements Conn.
func (t *PollTLS) Ready(int) bool { return t.held.Len() > 0 || t.ended != nil || t.reads() }

// reads reports whether a read may find something, and may be made now.
func (t *PollTLS) reads() bool { return (t.more || t.marked(readable)) && !t.out.crowded() }

// Fill implements Conn. Before the handshake it reads what comes before TLS.
func (t *PollTLS) Fill(in *Input, room int) (int, error) {
	switch {
	case t.conn == nil:
		return t.Poll.Fill(in, room)
	case t.held.Len() > 0:
	case t.ended != nil:
		return 0, t.ended
	case !t.reads():
		return 0, ErrAgain
	}
	space := in.Space(room)
	n := copy(space, t.held.Bytes()) // the handler is shown the same pieces as without Hold
	t.held.Keep(t.held.Len() - n)
	if n < len(space) && t.ended == nil && t.reads() {
		n += t.decrypt(space[n:])
	}
	in.Filled(n, space)
	switch {
	case n > 0:
		return n, nil
	case t.ended != nil:
		return 0, t.ended
	}
	return 0, ErrAgain
}

// mostRecords bounds the records of one Fill: a record may have a single byte.
const mostRecords = 64

// decrypt fills space, which is not empty, from the tls.Conn, as far as that is possible without
// waiting, and returns how many bytes it has put there. t.more and t.ended tell of the rest.
func (t *PollTLS) decrypt(space []byte) (n int) {
	t.lend()
	for range mostRecords {
		m, err := t.conn.Read(space[n:])
		n += m
		t.inside -= m
		t.more = err == nil
		switch {
		case err == nil && n < len(space):
			continue
		case errors.Is(err, errWouldBlock):
			t.inside = 0
			t.takeBack()
		case err != nil:
			t.ended = err
		}
		break
	}
	if t.out.queued.Load() > 0 { // an answer to a KeyUpdate, or an alert; a write's rest is tried once more
		_ = t.flush(false)
	}
	return n
}

// Hold implements Conn. TLS's close_notify is the end of the input as well, and only a read finds
// it.
func (t *PollTLS) Hold(room int) bool {
	for t.ended == nil && t.reads() && t.held.Len() < room {
		space := t.held.Space(room - t.held.Len())
		t.held.Filled(t.decrypt(space), space)
	}
	return true
}

// EndSeen implements Conn.
func (t *PollTLS) EndSeen(look bool) (finished bool, err error) {
	if t.ended != nil && !errors.Is(t.ended, io.EOF) {
		return true, t.ended
	}
	finished, err = t.Poll.EndSeen(look)
	return finished || t.ended != nil, err
}

// Unread implements Conn. The bytes below TLS count.
func (t *PollTLS) Unread() int {
	n := t.Poll.Unread() + t.held.Len()
	if t.more {
		n += max(t.inside, 1)
	}
	return n
}

// Progress implements Conn.
func (t *PollTLS) Progress() (read, written uint64) { return t.came.Load(), t.went.Load() }

// Close implements Conn. CloseNotify or CloseWrite has sent what a tls.Conn's Close would send.
func (t *PollTLS) Close() error {
	err := t.Poll.Close()
	t.held.Release()
	t.out.drop()
	t.stopHandshake()
	return err
}

// Abort implements Conn.
func (t *PollTLS) Abort() {
	t.Poll.Abort()
	t.stopHandshake()
}

// stopHandshake ends the wait of a handshake. The socket is closed.
func (t *PollTLS) stopHandshake() {
	if s := t.shakes.Load(); s != nil {
		s.wake()
	}
}

// belowTLS is a PollTLS as the connection below its tls.Conn.
type belowTLS PollTLS

var _ net.Conn = (*belowTLS)(nil)

// wouldBlock is a temporary error. It is all that a tls.Conn lets pass without failing for ever.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "transport: the read would block" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

var errWouldBlock net.Error = wouldBlock{}

// Read implements net.Conn. It waits only during the handshake.
func (b *belowTLS) Read(p []byte) (int, error) {
	t := (*PollTLS)(b)
	if len(t.first) > 0 {
		n := copy(p, t.first)
		if t.first = t.first[n:]; len(t.first) == 0 {
			t.first = nil
		}
		return n, nil
	}
	for {
		n, err := t.receiveNow(p)
		if !errors.Is(err, ErrAgain) {
			t.came.Add(uint64(n))
			t.inside += n
			return n, err
		}
		s := t.shakes.Load()
		if s == nil {
			return 0, errWouldBlock
		}
		<-s.news
	}
}

func (t *PollTLS) receiveNow(p []byte) (int, error) {
	if !t.lease.take() {
		return 0, net.ErrClosed
	}
	defer t.release()
	if err := t.unreadable(); err != nil {
		return 0, err
	}
	return t.receive(p)
}

package berthtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/record"
)

// Replayed is what a replay has brought about.
type Replayed struct {
	// Failure is the last error that a handler returned, or a *protocol.PanicError; nil: none
	// failed.
	Failure error
	// Reason is what ended the connection on the server's side. Where it does not end as it did in
	// the recording, the client closes it.
	Reason berth.Reason
	// Received is what the client was sent.
	Received string
}

// Panic returns what a handler panicked with the last time, as record.Recording's Panic does.
func (r *Replayed) Panic() (text string, panicked bool) {
	if failure, ok := errors.AsType[*protocol.PanicError](r.Failure); ok {
		return fmt.Sprint(failure.Value), true
	}
	return "", false
}

// Replay sends the bytes of a recording to a handler, in a server of its own, and returns what the
// handler did. The handler is shown the bytes in the same pieces as then; the next piece is sent
// when it has dealt with the one before. A FIN, and a reset, come where they came. In a bubble of
// testing/synctest the times are those of the recording too; elsewhere nothing waits.
//
// What a recording does not have cannot be replayed: messages of other actors, except by OnMessage,
// and what a handler asks of other services. A handler may fail; a failure does not fail the test.
// Options that matter to the handler, such as ReadBufferSize, are those of the server that was
// recorded.
func Replay(t testing.TB, recording *record.Recording, handler berth.Factory, options ...Option) *Replayed {
	t.Helper()
	if !recording.Payload {
		t.Fatalf("berthtest: the recording has no payload to replay: record with Payload")
	}
	p := &player{handled: make(chan struct{}, 1)}
	server := Serve(t, tcpactor.WrapAll(handler, p.around), append(options, AllowFailures())...)
	client := server.Dial()
	received := make(chan string, 1)
	go func() { received <- client.receiveAll() }()
	timed, at := server.bubble, time.Duration(0)
	for _, event := range recording.Events {
		if p.over() {
			break
		}
		if timed && event.At > at {
			time.Sleep(event.At - at)
			at = event.At
		}
		server.replay(client, p, event)
	}
	if recording.Truncated && !p.over() {
		client.Close()
	}
	p.awaitEnd(server.config.patience)
	_ = server.Close()
	replayed := &Replayed{Reason: p.reason(), Received: <-received}
	for _, failed := range server.news.unexpected() {
		replayed.Failure = failed.Err
	}
	return replayed
}

// replay does what the client, or another actor, did in the recording.
func (s *Server) replay(client *Client, p *player, event record.Event) {
	s.t.Helper()
	switch event.Kind {
	case record.Data:
		if len(event.Bytes) > 0 {
			p.expect(len(event.Bytes))
			_ = client.conn.SetWriteDeadline(time.Now().Add(s.config.patience))
			if _, err := client.conn.Write(event.Bytes); err != nil {
				return // the handler has closed, or failed: what it did says so
			}
		}
		if event.EOF {
			p.sendFIN(client)
		}
		if !p.await(s.config.patience) {
			s.t.Fatalf("berthtest: the handler is not shown what it was shown %v after the beginning of the recording", event.At)
		}
	case record.PeerClosed:
		p.sendFIN(client)
	case record.TLSStarted:
		s.t.Fatal("berthtest: a recording with a StartTLS cannot be replayed: it has no TLS of the client")
	case record.Message:
		if s.config.message == nil {
			return
		}
		if message := s.config.message(event.Type); message != nil {
			if socket := p.socketOf(); socket != nil {
				s.System.Root.Send(socket.PID(), message)
			}
		}
	case record.Closing:
		switch event.Reason {
		case berth.ReasonPeerClosed.String():
			p.sendFIN(client)
		case berth.ReasonPeerReset.String():
			if !p.over() {
				client.Reset()
			}
		}
	case record.Closed:
		if !p.awaitEnd(s.grace()) {
			client.Close() // now the server's side has no cause to end it
		}
	}
}

// grace is how long a connection that has ended in the recording has to end in the replay.
func (s *Server) grace() time.Duration {
	if s.bubble {
		return time.Minute
	}
	return time.Second
}

// OnMessage makes the messages of a Replay: message is given the type of a message that the handler
// got, in Go's words, and returns one to send to it; nil: none.
func OnMessage(message func(name string) any) Option {
	return func(c *config) { c.message = message }
}

// receiveAll reads until the server closes, or the client does.
func (c *Client) receiveAll() string {
	var all []byte
	buffer := make([]byte, 4<<10)
	for {
		n, err := c.conn.Read(buffer)
		all = append(all, buffer[:n]...)
		if err != nil {
			return string(all)
		}
	}
}

// player keeps the pieces of a recording apart. It knows how many bytes the client has sent, and
// what the handler has been shown.
type player struct {
	mu       sync.Mutex
	sent     int  // bytes
	fin      bool // is sent, or is just being sent
	shown    int  // bytes that the handler has been shown
	shownFIN bool
	consumed int // bytes that it has consumed
	socket   berth.Socket
	closed   *berth.Closed
	handled  chan struct{} // room for one signal
}

// around is a Wrap that holds a Data back until it has all that was sent.
func (p *player) around(next berth.Receiver) berth.Receiver {
	return berth.ReceiverFunc(func(ctx actor.Context, message any) error {
		switch m := message.(type) {
		case *berth.Accepted:
			p.mu.Lock()
			p.socket = m.Socket
			p.mu.Unlock()
		case *berth.Data:
			if !p.complete(m) {
				return nil
			}
			defer p.called(m, m.Buffer.Len())
		case *berth.PeerClosed, *berth.Closing:
			defer p.knowsFIN()
		case *berth.Closed:
			defer p.ended(m)
		}
		return next.Receive(ctx, message)
	})
}

// complete reports whether a Data has all that was sent: the handler was shown it all at once.
func (p *player) complete(data *berth.Data) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.consumed+data.Buffer.Len() >= p.sent
}

// called notes that the handler has been shown a Data.
func (p *player) called(data *berth.Data, shown int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown = max(p.shown, p.consumed+shown)
	p.consumed += shown - data.Buffer.Len()
	p.shownFIN = p.shownFIN || data.EOF
	p.tell()
}

func (p *player) knowsFIN() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shownFIN = true
	p.tell()
}

func (p *player) ended(closed *berth.Closed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	copied := *closed
	p.closed = &copied
	p.tell()
}

// tell is called with the lock.
func (p *player) tell() {
	select {
	case p.handled <- struct{}{}:
	default:
	}
}

func (p *player) expect(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent += n
}

// sendFIN closes the client for writing, once.
func (p *player) sendFIN(client *Client) {
	p.mu.Lock()
	again := p.fin || p.closed != nil
	p.fin = true
	p.mu.Unlock()
	if half, ok := client.conn.(interface{ CloseWrite() error }); ok && !again {
		_ = half.CloseWrite()
	}
}

// await returns once the handler has been shown all that was sent, or the connection has ended. It
// returns false if neither comes in time.
func (p *player) await(patience time.Duration) bool {
	return p.until(patience, func() bool { return p.closed != nil || p.shown >= p.sent && (p.shownFIN || !p.fin) })
}

// awaitEnd waits for the end of the connection. It returns false if that does not come in time.
func (p *player) awaitEnd(patience time.Duration) bool {
	return p.until(patience, func() bool { return p.closed != nil })
}

func (p *player) until(patience time.Duration, cond func() bool) bool {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		p.mu.Lock()
		is := cond()
		p.mu.Unlock()
		if is {
			return true
		}
		select {
		case <-p.handled:
		case <-late.C:
			return false
		}
	}
}

func (p *player) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed != nil
}

func (p *player) reason() berth.Reason {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed == nil {
		return berth.ReasonNone
	}
	return p.closed.Reason
}

func (p *player) socketOf() berth.Socket {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.socket
}

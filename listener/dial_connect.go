package listener

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// Connect asks a dialer or a listener for an outgoing connection. It is Dial as a message, for
// actors, whose turn must not wait: any goroutine and any actor of the same process may send one
// to the PID. The sender gets one answer, *protocol.Connected or *protocol.ConnectFailed. An
// answer without a sender is a dead letter.
//
// The connection is open whether or not its asker still lives. An asker that must not leave one
// behind links it in the handler's Accepted; see protocol.Link.
type Connect struct {
	Addr    string           // "host:port", a path for unix sockets
	Handler tcpactor.Factory // makes the connection's handler
	Options DialOptions
	// Context, if not nil, bounds the dial: a deadline or a cancellation ends it, and the answer
	// has its error. It does not bound the connection. Without a limit a dial ends after 30 s.
	Context context.Context
	Ack     any // comes back in the answer
}

// mostConnects is how many Connects of one dialer may be under way at once. Each has a goroutine
// and mostly a descriptor, so beyond the descriptors of a process more are of no use.
const mostConnects = 16384

// connect dials on a goroutine of its own, and answers. It is called on the supervisor's turn.
// Nothing waits for the goroutine but the end of the server, which cuts its dial off.
func (s *server) connect(ctx actor.Context, m *Connect) {
	sender := ctx.Sender()
	if n := s.connects.count.Add(1); n > mostConnects {
		s.connects.count.Add(-1)
		s.answerConnect(ctx.Self(), sender, m, nil, fmt.Errorf("berth: %d dials are under way already", mostConnects))
		return
	}
	self := ctx.Self()
	s.connects.running.Go(func() {
		defer s.connects.count.Add(-1)
		s.answerConnect(self, sender, m, &Listener{server: s, pid: self}, nil)
	})
}

// answerConnect dials, unless err says why not, and tells the sender the result. The dial runs
// code of the user's: Control, a resolver, callbacks of TLS, and the methods of a factory.
func (s *server) answerConnect(self, sender *actor.PID, m *Connect, by *Listener, err error) {
	var answer any = &protocol.ConnectFailed{Ack: m.Ack, Addr: m.Addr, Err: errGoexit}
	defer func() {
		if reason := recover(); reason != nil {
			answer = &protocol.ConnectFailed{Ack: m.Ack, Addr: m.Addr, Err: panicked(reason, debug.Stack())}
		}
		if sender == nil {
			s.system.DeadLetter.SendUserMessage(self, answer)
			return
		}
		s.system.Root.Send(sender, answer)
	}()
	var socket protocol.Socket
	if err == nil {
		dial := m.Context
		if dial == nil {
			dial = context.Background()
		}
		socket, err = by.Dial(dial, m.Addr, m.Handler, m.Options)
	}
	if err != nil {
		answer = &protocol.ConnectFailed{Ack: m.Ack, Addr: m.Addr, Err: err}
	} else {
		answer = &protocol.Connected{Ack: m.Ack, Socket: socket}
	}
}

// connects are the dials that were asked for by message.
type connects struct {
	count   atomic.Int64
	running sync.WaitGroup // joined with the server's other goroutines
}

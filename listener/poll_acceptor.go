//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"

	"github.com/go-berth/berth/listener/internal/admission"
)

// pollAcceptor is an acceptor of the poll transport. It pulls connections from the listening socket
// as a connection pulls bytes from its own, and has no goroutine: an event, a permit that came
// back, a resumption or the end of a back-off gives it a turn.
//
// All its incarnations are this one value: its state must survive.
type pollAcceptor struct {
	*polling
	loop    loop
	slot    int
	spawned *tcpactor.Mailbox                // of the incarnation that is being spawned
	mailbox atomic.Pointer[tcpactor.Mailbox] // of the one that is at work; nil: there is nothing to schedule
	pause   delay                            // runs after a failed accept

	mu         sync.Mutex
	socket     acceptSocket // nil: the slot is empty
	generation uint64
	lost       bool // other code closed it, and it is to be replaced
	wait       backoff
	held       []pollClient  // accepted, and waiting for their permits: one for each goroutine that accepts
	heir       *pollAcceptor // holds them instead; nil: this one is not retired
}

// pollClient is an accepted client, in the poll set of the event loop that it was dealt to.
type pollClient struct {
	*transport.Poll
	lane int
}

// acceptSocket is a *transport.Acceptor, as far as an acceptor knows it.
type acceptSocket interface {
	Accept(set *transport.PollSet) (*transport.Poll, error)
	Look()
	Rearm() bool
	Tune(o transport.SocketOptions) error
	Close()
	File() (*os.File, error)
}

// props gives each incarnation a mailbox of its own, as the last turn of the one before may still
// be under way.
func (a *pollAcceptor) props() *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return a },
		actor.WithDispatcher(a.loop), actor.WithMailbox(func() actor.Mailbox {
			a.spawned = new(tcpactor.Mailbox)
			a.spawned.Init(a)
			return a.spawned
		}))
}

// Schedule gives the acceptor a turn.
func (a *pollAcceptor) Schedule() {
	if m := a.mailbox.Load(); m != nil {
		m.Schedule()
	}
}

// again is the message of a turn on which there may be more to accept.
type again struct{}

var acceptAgain = &again{}

// acceptBatch is how many connections are accepted before others get their turn: as many as a poll
// has events, so that a poll with an acceptor among them ends about as many connections as it adds.
const acceptBatch = 64

// Receive implements actor.Actor. Accepting happens in Pull.
func (a *pollAcceptor) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		a.mailbox.Store(a.spawned)
	case *actor.Stopping:
		a.mailbox.Store(nil)
	}
}

// Drop implements tcpactor.Source.
func (a *pollAcceptor) Drop(any) {}

// Pull implements tcpactor.Source: it accepts what is there.
func (a *pollAcceptor) Pull() any {
	if a.mailbox.Load() == nil || !a.server.enter() {
		return nil
	}
	defer a.server.leave()
	defer func() {
		if reason := recover(); reason != nil {
			panic(panicked(reason, debug.Stack()))
		}
	}()
	for range acceptBatch {
		if a.pause.running() || a.server.mode.Load() != accepting || !a.next() {
			return nil
		}
	}
	return a.yield()
}

// yield ends a turn after which there may be more to accept. The next one comes with an event,
// behind those of the connections: a turn at once would accept clients faster than polls find the
// ends of earlier ones, and all connections would wait behind a growing queue.
func (a *pollAcceptor) yield() any {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.held) > 0 || a.socket == nil || !a.socket.Rearm() {
		return acceptAgain
	}
	return nil
}

// next accepts one connection, or opens the lost socket again. It returns false if there is nothing
// more to do now.
func (a *pollAcceptor) next() bool {
	socket, generation := a.current()
	if socket == nil {
		if a.retired() {
			return false
		}
		if err := a.server.reopen(a.slot, generation); err != nil {
			a.failed(err)
			return false
		}
		return true
	}
	err := a.accept(socket)
	switch {
	case err == nil:
		return true
	case errors.Is(err, transport.ErrAgain):
		return false
	case errors.Is(err, net.ErrClosed) && !a.has(socket): // it was closed by us, to refuse clients or to replace it
		return false
	}
	if classify(err) == AcceptSocketLost {
		if a.server.bind != nil {
			a.lose(generation)
		} else if errors.Is(err, net.ErrClosed) {
			a.server.lost(a.slot, err)
			return false
		}
	}
	a.failed(err)
	return false
}

// has reports whether socket is still the one to accept from.
func (a *pollAcceptor) has(socket acceptSocket) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.socket == socket
}

// current returns the socket to accept from, nil if there is none, and the generation of the lost
// one.
func (a *pollAcceptor) current() (acceptSocket, uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lost {
		return nil, a.generation
	}
	return a.socket, a.generation
}

// accept makes a connection of the next client. Held clients come first. ErrAgain means that there
// is no client, or no room.
func (a *pollAcceptor) accept(socket acceptSocket) error {
	if free, _ := a.server.admission.Room(); !free {
		return transport.ErrAgain
	}
	client, held := a.popHeld()
	if !held {
		lane := a.lane()
		conn, err := socket.Accept(a.loops[lane].set)
		if err != nil {
			return err
		}
		client = pollClient{conn, lane}
		a.server.acceptCount.Add(1)
		a.mu.Lock()
		a.wait.reset()
		a.mu.Unlock()
	}
	ip := admission.IPOf(client.Poll)
	permit, refusal, queues := a.server.admit(ip)
	switch {
	case permit != nil:
		a.begin(client, permit)
	case refusal != protocol.RefusalNone:
		a.server.refuse(client.Poll, refusal)
	case queues:
		a.enqueue(client, ip)
	default:
		a.hold(client)
		a.server.letHeldGoWhileRefusing()
		return transport.ErrAgain
	}
	return nil
}

func (p *polling) begin(client pollClient, permit *connection.Permit) {
	p.dealt.Add(1)
	if recv, send := p.server.kernelShare(p.server.options()); recv+send > 0 {
		client.Limit(recv, send)
	}
	var socket transport.Conn = client.Poll
	if config := p.server.options().TLSConfig; config != nil {
		socket = transport.NewPollTLS(client.Poll, config, &p.server.readers)
	}
	p.server.spawn(socket, client.lane, permit)
}

func (p *polling) enqueue(client pollClient, ip netip.Addr) {
	p.server.enqueue(client.Poll, ip, func(permit *connection.Permit) { p.begin(client, permit) })
}

// popHeld returns the client that has been held for longest, if there is any.
func (a *pollAcceptor) popHeld() (client pollClient, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.held) == 0 {
		return pollClient{}, false
	}
	client = a.held[0]
	a.held = a.held[1:]
	return client, true
}

func (a *pollAcceptor) lose(generation uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost = a.lost || a.generation == generation
}

// failed waits after a failed accept.
func (a *pollAcceptor) failed(err error) {
	a.mu.Lock()
	d := a.wait.next()
	a.mu.Unlock()
	a.server.acceptFailed(err, d) // first: its event must come before that of the next accept
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.heir == nil { // else the pause has been stopped
		a.pause.start(d, a.Schedule)
	}
}

// backlog accepts the clients that wait already. It may be called by any goroutine.
func (a *pollAcceptor) backlog() {
	a.mu.Lock()
	socket := a.socket
	a.mu.Unlock()
	if socket == nil {
		return
	}
	socket.Look()
	for range mostBacklog {
		if err := a.accept(socket); err != nil && classify(err) != AcceptClientGone {
			return
		}
	}
}

// put replaces the socket, which is closed already.
func (a *pollAcceptor) put(socket acceptSocket, generation uint64) {
	a.mu.Lock()
	a.socket, a.generation, a.lost = socket, generation, false
	a.mu.Unlock()
	a.Schedule()
}

func (a *pollAcceptor) tune(o transport.SocketOptions) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.socket == nil {
		return nil
	}
	return a.socket.Tune(o)
}

// take closes the socket, if there is one.
func (a *pollAcceptor) take() {
	a.mu.Lock()
	socket := a.socket
	a.socket, a.lost = nil, false
	a.mu.Unlock()
	if socket != nil {
		socket.Close()
	}
}

// file returns a duplicate of the socket.
func (a *pollAcceptor) file() (*os.File, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.socket == nil {
		return nil, errNoSocket
	}
	return a.socket.File()
}

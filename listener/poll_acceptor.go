//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// polling is the poll transport of one listener: poll sets, each with the crew that polls it and runs the actors, and the acceptor,
// which pulls connections from the listening socket as a connection pulls bytes from its own. The acceptor has no
// goroutine: an event, a permit that came back, a resumption or the end of a back-off gives it a turn.
type polling struct {
	server  *server
	crews   []crew
	socket  *transport.Acceptor              // in the first crew's set
	spawned *tcpactor.Mailbox                // of the incarnation that is being spawned
	mailbox atomic.Pointer[tcpactor.Mailbox] // of the one that has started; nil: there is nothing to schedule yet

	mu      sync.Mutex      // held while accepting, so that after stop no connection is added
	dealt   int             // connections dealt out to the crews, in turn
	held    *transport.Poll // an accepted client that waits for its place
	stopped bool
	wait    backoff
	timer   *time.Timer // runs while the acceptor waits after a failed accept
}

type crew struct {
	*tcpactor.Crew
	set *transport.PollSet
}

// newPolling fails if the process has no descriptor left, or l is none of the system's sockets; then nothing is left of it.
func newPolling(s *server) (_ *polling, err error) {
	p := &polling{server: s}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	for range s.options().Crews {
		set, err := transport.NewPollSet()
		if err != nil {
			return nil, err
		}
		p.crews = append(p.crews, crew{tcpactor.NewCrew(set, max(1, s.options().Workers/s.options().Crews)), set})
	}
	if p.socket, err = transport.NewAcceptor(p.crews[0].set, s.listener, p.Schedule); err != nil {
		return nil, err
	}
	o := s.options()
	err = p.socket.Tune(transport.SocketOptions{
		NoDelay: !o.DisableNoDelay, KeepAlive: o.KeepAlive, RecvBuffer: o.RecvBufferSize, SendBuffer: o.SendBufferSize,
	})
	if err != nil {
		p.socket.Close()
		return nil, fmt.Errorf("berth: %w", err)
	}
	return p, nil
}

// pollable reports that l is one of the system's sockets.
func pollable(l net.Listener) bool {
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener:
		return true
	}
	return false
}

func (p *polling) dispatchers() (all []actor.Dispatcher) {
	for _, c := range p.crews {
		all = append(all, c)
	}
	return all
}

// props of the acceptor. All its incarnations are this one: what it knows must survive. Each has a mailbox of its own, as the last turn of
// the one before may still be under way.
func (p *polling) props() *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return p },
		actor.WithDispatcher(p.crews[0]), actor.WithMailbox(func() actor.Mailbox {
			p.spawned = new(tcpactor.Mailbox)
			p.spawned.Init(p)
			return p.spawned
		}))
}

// Schedule gives the acceptor a turn.
func (p *polling) Schedule() {
	if m := p.mailbox.Load(); m != nil {
		m.Schedule()
	}
}

// again is the message of a turn on which there may be more to accept.
type again struct{}

var acceptAgain = &again{}

// acceptBatch is how many connections are accepted before others get their turn.
const acceptBatch = 64

// Receive implements actor.Actor. Accepting happens in Pull.
func (p *polling) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Started); ok {
		p.mailbox.Store(p.spawned)
	}
}

// Drop implements tcpactor.Source.
func (p *polling) Drop(any) {}

// Pull implements tcpactor.Source: it accepts what is there.
func (p *polling) Pull() any {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range acceptBatch {
		if p.stopped || p.timer != nil || !p.acceptOne() {
			return nil
		}
	}
	return acceptAgain
}

// acceptOne returns false when there is nobody left to accept, or it failed.
func (p *polling) acceptOne() bool {
	if !p.server.takesMore() {
		return false
	}
	lane := p.dealt % len(p.crews) // the same for a client that is held: while it is, none is dealt out
	conn := p.held
	if conn == nil {
		var err error
		if conn, err = p.socket.Accept(p.crews[lane].set); err != nil {
			if !errors.Is(err, transport.ErrAgain) {
				p.pause(err)
			}
			return false
		}
		p.wait.reset()
		p.server.acceptCount.Add(1)
	}
	p.held = nil
	switch place, refusal := p.server.admission.admit(ipOf(conn)); {
	case place != nil:
		p.dealt++
		p.server.spawn(conn, lane, place)
	case refusal != protocol.RefusalNone:
		p.server.refuse(conn, refusal)
	default:
		p.held = conn
		return false
	}
	return true
}

// pause waits after a failed accept.
func (p *polling) pause(err error) {
	d := p.wait.next()
	p.server.acceptFailed(err, d)
	p.timer = time.AfterFunc(d, func() {
		p.mu.Lock()
		p.timer = nil
		p.mu.Unlock()
		p.Schedule()
	})
}

// stop accepts who is in the backlog (see server.acceptBacklog) and closes the listening socket. When it returns no connection is added any more.
func (p *polling) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.socket.Look()
	for left := mostBacklog; left > 0 && !p.server.livesOn() && p.acceptOne(); left-- {
		continue
	}
	if p.held != nil {
		_ = p.held.Close()
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	p.socket.Close()
}

// file returns a duplicate of the listening socket.
func (p *polling) file() (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil, errShutDown
	}
	return p.socket.File()
}

// close ends the crews and joins them. All their actors have stopped.
func (p *polling) close() {
	for _, c := range p.crews {
		c.Close()
	}
	for _, c := range p.crews {
		c.Wait()
		c.set.Close()
	}
}

package conformance

import (
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// script holds the actions of a handler. A nil part does nothing; a nil data consumes everything.
type script struct {
	accepted   func(t *tape) error
	again      func(t *tape) error // accepted, of a handler that replaces one that panicked
	data       func(t *tape, b *protocol.Buffer) error
	peerClosed func(t *tape) error
	writable   func(t *tape, ready bool) error
	draining   func(t *tape, deadline time.Time) error // if given, the handler decides itself when to close
	message    func(t *tape, ctx actor.Context, message any) error
	tlsStarted func(t *tape) error
	closing    func(t *tape)
	closed     func(t *tape)
}

// factoryOf makes a factory of handlers that play a script.
type factoryOf func(s *server, play script) tcpactor.Factory

var factories = map[string]factoryOf{"handlers": handlersForm, "functions": functionsForm, "actors": actorsForm}

// player turns the events of one connection into a tape and a script's parts. The factories below
// only translate.
type player struct {
	s    *server
	play script
	tape *tape
}

func (p *player) accepted(socket protocol.Socket) error {
	if before, found := p.s.tapes.Load(socket.PID().Id); found && p.s.restarting {
		p.tape = before.(*tape)
		return p.again()
	}
	if p.tape != nil {
		p.tape.enter()
		defer p.tape.leave()
		p.tape.record(event{what: "accepted"})
		return nil
	}
	p.tape = newTape(p.s.w, socket)
	p.s.tapes.Store(socket.PID().Id, p.tape)
	p.tape.enter()
	defer p.tape.leave()
	p.tape.record(event{what: "accepted"})
	defer func() { p.s.accepted <- p.tape }() // so the test goes on after the script's action
	if p.play.accepted == nil {
		return nil
	}
	return p.play.accepted(p.tape)
}

func (p *player) again() error {
	p.tape.enter()
	defer p.tape.leave()
	p.tape.record(event{what: "again"})
	if p.play.again == nil {
		return nil
	}
	return p.play.again(p.tape)
}

func (p *player) data(b *protocol.Buffer) error {
	p.tape.enter()
	defer p.tape.leave()
	return p.tape.show(b, b.AtEOF(), p.play.data)
}

func (p *player) peerClosed() error {
	p.tape.enter()
	defer p.tape.leave()
	p.tape.record(event{what: "peerclosed"})
	if p.play.peerClosed == nil {
		return nil
	}
	return p.play.peerClosed(p.tape)
}

func (p *player) writable(ready bool) error {
	p.tape.enter()
	defer p.tape.leave()
	p.tape.record(event{what: "writable", flag: ready})
	if p.play.writable == nil {
		return nil
	}
	return p.play.writable(p.tape, ready)
}

func (p *player) draining(deadline time.Time) error {
	p.tape.enter()
	defer p.tape.leave()
	p.tape.record(event{what: "draining", any: deadline})
	if p.play.draining == nil {
		return nil
	}
	return p.play.draining(p.tape, deadline)
}

func (p *player) tlsStarted() error {
	p.tape.enter()
	defer p.tape.leave()
	p.tape.record(event{what: "tlsstarted"})
	if p.play.tlsStarted == nil {
		return nil
	}
	return p.play.tlsStarted(p.tape)
}

func (p *player) message(ctx actor.Context, message any) error {
	p.tape.enter()
	defer p.tape.leave()
	p.tape.record(event{what: "message", any: message})
	if p.play.message == nil {
		return nil
	}
	return p.play.message(p.tape, ctx, message)
}

func (p *player) closing(closing protocol.Closing) {
	p.tape.enter()
	defer p.tape.leave()
	p.tape.announce(closing)
	if p.play.closing != nil {
		p.play.closing(p.tape)
	}
}

func (p *player) closed(closed protocol.Closed) {
	p.tape.enter()
	defer p.tape.leave()
	if p.play.closed != nil {
		defer p.play.closed(p.tape)
	}
	p.tape.mu.Lock()
	p.tape.closed = closed
	p.tape.mu.Unlock()
	p.tape.record(event{what: "closed"})
}

// The Go form.

func handlersForm(s *server, play script) tcpactor.Factory {
	return tcpactor.Handlers(func() tcpactor.Handler {
		h := goHandler{&player{s: s, play: play}}
		if play.draining != nil {
			return drainingHandler{h}
		}
		return h
	})
}

type goHandler struct{ player *player }

func (h goHandler) Accepted(s protocol.Socket) error                  { return h.player.accepted(s) }
func (h goHandler) Data(_ protocol.Socket, b *protocol.Buffer) error  { return h.player.data(b) }
func (h goHandler) PeerClosed(protocol.Socket) error                  { return h.player.peerClosed() }
func (h goHandler) Writable(_ protocol.Socket, ready bool) error      { return h.player.writable(ready) }
func (h goHandler) TLSStarted(protocol.Socket) error                  { return h.player.tlsStarted() }
func (h goHandler) Closed(_ protocol.Socket, closed *protocol.Closed) { h.player.closed(*closed) }
func (h goHandler) Closing(_ protocol.Socket, c *protocol.Closing)    { h.player.closing(*c) }
func (h goHandler) Message(c actor.Context, _ protocol.Socket, m any) error {
	return h.player.message(c, m)
}

type drainingHandler struct{ goHandler }

func (h drainingHandler) Draining(_ protocol.Socket, deadline time.Time) error {
	return h.player.draining(deadline)
}

// The ancestor's form. A panic in Accept leaves no state, so the players are found by their socket.

func functionsForm(s *server, play script) tcpactor.Factory {
	var players sync.Map
	return tcpactor.Functions[protocol.Socket]{
		Accept: func(socket protocol.Socket) (protocol.Socket, error) {
			found, _ := players.LoadOrStore(socket.PID().Id, &player{s: s, play: play})
			return socket, found.(*player).accepted(socket)
		},
		Read: func(state, socket protocol.Socket, b *protocol.Buffer) (protocol.Socket, error) {
			found, _ := players.Load(state.PID().Id)
			return socket, found.(*player).data(b)
		},
		Closing: func(state protocol.Socket, closing *protocol.Closing) protocol.Socket {
			found, _ := players.Load(closing.Socket.PID().Id)
			found.(*player).closing(*closing)
			return state
		},
		Close: func(_ protocol.Socket, closed *protocol.Closed) {
			found, _ := players.Load(closed.Socket.PID().Id)
			found.(*player).closed(*closed)
		},
	}
}

// The Proto.Actor form. An actor has no error to return.

func actorsForm(s *server, play script) tcpactor.Factory {
	return tcpactor.Actors(func() actor.Actor { return &nativeActor{player{s: s, play: play}} })
}

type nativeActor struct{ player player }

func (a *nativeActor) Receive(ctx actor.Context) {
	var err error
	switch m := ctx.Message().(type) {
	case *protocol.Accepted:
		err = a.player.accepted(m.Socket)
	case *protocol.Data:
		err = a.player.data(m.Buffer)
	case *protocol.PeerClosed:
		err = a.player.peerClosed()
	case *protocol.Writable:
		err = a.player.writable(m.Ready)
	case *protocol.Draining:
		err = a.player.draining(m.Deadline)
	case *protocol.TLSStarted:
		err = a.player.tlsStarted()
	case *protocol.Closing:
		a.player.closing(*m)
	case *protocol.Closed:
		a.player.closed(*m)
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		err = a.player.message(ctx, m)
	}
	if err != nil {
		panic(err)
	}
}

package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// player is a handler that behaves at random. Its action at its nth call depends only on the seed
// and its connection.
type player struct {
	w      *world
	kind   kind
	rng    *rand.Rand
	socket *history.Socket
	*life
}

// life is what the players of one connection share: whether it has ended, and how many completions
// came later than that.
type life struct {
	ended atomic.Bool
	late  atomic.Int64
}

// errHandler is the error of a player's handler.
var errHandler = errors.New("handler fails")

func (p *player) accepted(socket protocol.Socket) error {
	p.socket = socket.(*history.Socket)
	p.rng = rand.New(rand.NewPCG(p.w.seed+p.kind.salt, uint64(p.socket.Conn())))
	p.w.join(p)
	return p.act()
}

func (p *player) data(b *protocol.Buffer) error {
	p.whole(b)
	if err := p.take(b); err != nil {
		return err
	}
	if err := p.needs(b); err != nil {
		return err
	}
	return p.act()
}

// take consumes some of what is shown, or all of it, or nothing.
func (p *player) take(b *protocol.Buffer) error {
	switch p.rng.IntN(10) {
	case 0: // it stays unread
	case 1, 2:
		b.Discard(p.rng.IntN(b.Len() + 1))
	case 3:
		b.ReadLine()
	case 4:
		_ = b.Take()
	case 5:
		b.Discard(b.Len())
	case 6:
		_, _ = p.socket.Write(b.Next(b.Len()))
	case 7:
		if _, err := p.socket.Forward(b); err != nil {
			return err
		}
	default:
		_, _ = p.socket.Forward(b)
	}
	return nil
}

// act performs one action, or none.
func (p *player) act() error {
	rng := p.rng
	if rng.IntN(3) == 0 {
		return nil
	}
	if rng.Float64() < p.w.plan.fatal {
		return p.end()
	}
	switch rng.IntN(16) {
	case 0:
		p.socket.Pause()
	case 1:
		p.socket.Resume()
	case 2:
		p.socket.Do(&protocol.Resume{Credit: rng.IntN(3)}, p.done(0))
	case 3:
		p.socket.Do(&protocol.Pause{}, p.done(0))
	case 4:
		p.socket.Info()
	case 5:
		for range rng.IntN(8) {
			p.w.write(rng, p.socket, p)
		}
	case 6:
		if other := p.w.any(rng); other != nil {
			p.w.write(rng, other.socket.As(history.Turn(p.socket.Conn())), other)
		}
	case 7:
		p.w.burst(rng, p.socket, p)
	case 8:
		p.w.waitInside(rng, p.socket)
	case 9:
		if other := p.w.any(rng); other != nil {
			p.w.waitInside(rng, other.socket.As(history.Turn(p.socket.Conn())))
		}
	case 10:
		p.w.limit(rng, p.socket)
	case 11:
		if p.w.plan.slow {
			p.w.sleep(rng, 200*time.Millisecond)
		}
	case 12:
		p.w.become(rng, p.socket, p)
	default:
		p.w.write(rng, p.socket, p)
	}
	return nil
}

// end performs an action that ends the connection.
func (p *player) end() error {
	switch p.rng.IntN(9) {
	case 0, 1:
		return fmt.Errorf("at %d: %w", p.rng.IntN(100), errHandler)
	case 2, 3:
		panic("handler panics")
	case 4:
		runtime.Goexit()
	case 5:
		p.socket.CloseWrite()
	case 6:
		p.socket.Abort()
	default:
		_ = p.socket.Close()
	}
	return nil
}

// ending acts when the end has begun.
func (p *player) ending() {
	if err := p.act(); err != nil {
		panic(err)
	}
}

// done returns a completion that sometimes performs an operation, and less often a write.
func (p *player) done(depth int) func(error) {
	return func(error) {
		if p.ended.Load() { // on a goroutine of its own, perhaps at the same time as another
			if p.late.Add(1)%8 == 0 {
				panic("late")
			}
			return
		}
		if depth < 3 && p.rng.IntN(4) == 0 {
			if err := p.act(); err != nil {
				panic(err)
			}
		}
	}
}

// The handler forms.

func (w *world) form(k kind) tcpactor.Factory {
	switch k.form {
	case "functions":
		return tcpactor.Functions[*player]{
			Accept: func(s protocol.Socket) (*player, error) {
				p := &player{w: w, kind: k}
				return p, p.accepted(s)
			},
			Read: func(p *player, _ protocol.Socket, b *protocol.Buffer) (*player, error) { return p, p.data(b) },
			Closing: func(p *player, _ *protocol.Closing) *player {
				if p != nil { // a panic in Accept leaves no state
					p.ending()
				}
				return p
			},
			Close: func(_ *player, closed *protocol.Closed) { w.gone(closed.Socket) },
		}
	case "actors":
		return tcpactor.Actors(func() actor.Actor { return &native{player{w: w, kind: k}} })
	default:
		return tcpactor.Handlers(func() tcpactor.Handler {
			h := methods{&player{w: w, kind: k}}
			if w.plan.slow {
				return h
			}
			return drainer{h}
		})
	}
}

type methods struct{ *player }

func (m methods) Accepted(s protocol.Socket) error                  { return m.accepted(s) }
func (m methods) Data(_ protocol.Socket, b *protocol.Buffer) error  { return m.data(b) }
func (m methods) PeerClosed(protocol.Socket) error                  { return m.act() }
func (m methods) Writable(protocol.Socket, bool) error              { return m.act() }
func (m methods) Message(actor.Context, protocol.Socket, any) error { return m.act() }
func (m methods) Closing(protocol.Socket, *protocol.Closing)        { m.ending() }
func (m methods) Closed(s protocol.Socket, _ *protocol.Closed)      { m.w.gone(s) }

type drainer struct{ methods }

func (d drainer) Draining(s protocol.Socket, _ time.Time) error {
	if d.rng.IntN(2) == 0 {
		return s.Close()
	}
	return d.act()
}

type native struct{ player }

func (n *native) Receive(ctx actor.Context) {
	var err error
	switch m := ctx.Message().(type) {
	case *protocol.Accepted:
		err = n.accepted(m.Socket)
	case *protocol.Data:
		err = n.data(m.Buffer)
	case *protocol.PeerClosed, *protocol.Writable, *protocol.Draining, *history.Task:
		err = n.act()
	case *protocol.Closing:
		n.ending()
	case *protocol.Closed:
		n.w.gone(m.Socket)
	}
	if err != nil {
		panic(err)
	}
}

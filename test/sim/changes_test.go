package sim

import (
	"math/rand/v2"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/test/history"
)

// This file has handlers that ask for a number of bytes, handlers of frames, and handlers that make
// room for others.

// kind is what the handlers of one factory have in common.
type kind struct {
	form  string // handlers, functions or actors
	frame int    // the size of the frames in which they take the input; 0: they take it as it comes
	salt  uint64 // what they do at random depends on it; 0: they are the listener's
}

// factory returns the factory of a listener's handlers.
func (w *world) factory() tcpactor.Factory {
	return w.handlers(kind{form: w.plan.factory, frame: w.plan.frame})
}

// handlers returns the factory of a kind.
func (w *world) handlers(k kind) tcpactor.Factory {
	factory := w.form(k)
	if k.frame == 0 {
		return factory
	}
	return tcpactor.Frames(func() frame.Decoder { return &frame.Fixed{Size: k.frame} }, factory)
}

// another returns a kind of handlers for a Become. Messages are sent only where no handler is made
// of functions, which take none.
func (w *world) another(rng *rand.Rand) kind {
	k := kind{form: pick(rng, "handlers", "actors"), salt: 1 + rng.Uint64()>>1}
	if w.plan.factory == "functions" {
		k.form = pick(rng, "handlers", "actors", "functions")
	}
	if rng.IntN(4) == 0 {
		k.frame = w.frameSize(rng)
	}
	return k
}

// become gives a connection other handlers, for the issuer that socket is of.
func (w *world) become(rng *rand.Rand, socket *history.Socket, p *player) {
	if !w.plan.becomes {
		return
	}
	factory := w.handlers(w.another(rng))
	switch rng.IntN(4) {
	case 0:
		socket.Do(&protocol.Become{Handler: factory}, p.done(1))
	case 1:
		w.mail.Command(socket, &protocol.Become{Handler: factory}, rng.IntN(4) > 0)
	default:
		_ = socket.Become(factory)
	}
}

// needs asks for a number of bytes, now and then: fewer than are there, as many, a few more; up to
// the read buffer, beyond it, up to the maximum, and more than that.
func (p *player) needs(b *protocol.Buffer) error {
	if p.kind.frame > 0 || p.rng.Float64() >= p.w.plan.needs {
		return nil
	}
	o := p.w.plan.listener.Connection.WithDefaults()
	rng, size, most := p.rng, o.ReadBufferSize, o.MaxReadBufferSize
	var n int
	switch rng.IntN(16) {
	case 0:
		n = size
	case 1:
		n = size + 1
	case 2:
		n = b.Len() + 1 + rng.IntN(min(2*size, p.w.largest()))
	case 3:
		n = min(most, 20*size, p.w.largest())
	case 4:
		n = most + 1 + rng.IntN(9)
	case 5:
		n = b.Len()
	case 6, 7:
		n = 1 + rng.IntN(b.Len()+1)
	default:
		n = b.Len() + 1 + rng.IntN(min(size, 64))
	}
	err := b.Need(n)
	if (err != nil) != (n > most) {
		p.w.mistake("Need of %d bytes, of at most %d: %v", n, most, err)
	}
	if err != nil && rng.IntN(2) == 0 {
		return err
	}
	return p.afterNeed()
}

// afterNeed has other things happen while the handler waits for the bytes, and often.
func (p *player) afterNeed() error {
	switch p.rng.IntN(12) {
	case 0:
		p.socket.Pause()
	case 1:
		p.w.become(p.rng, p.socket, p)
	case 2:
		if p.w.plan.listener.Connection.RestartHandler.Max > 0 {
			panic("a handler panics that needs more")
		}
	case 3:
		if p.rng.Float64() < 10*p.w.plan.fatal {
			return p.end()
		}
	}
	return nil
}

// largest is the most bytes that a handler waits for, unless it wants as many as it may.
func (w *world) largest() int { return 20 * bufferOf(w.plan.network) }

// frameSize returns a size of frames: most of them fit into the read buffer.
func (w *world) frameSize(rng *rand.Rand) int {
	o := w.plan.listener.Connection.WithDefaults()
	size := pick(rng, 1, 5, 5, 16, 64, o.ReadBufferSize, o.ReadBufferSize+1, 3*o.ReadBufferSize)
	return min(size, o.MaxReadBufferSize, 4*bufferOf(w.plan.network))
}

// whole checks that a handler of frames is shown one whole frame.
func (p *player) whole(b *protocol.Buffer) {
	if size := p.kind.frame; size > 0 && b.Len() != size {
		p.w.mistake("%d bytes are shown as a frame of %d", b.Len(), size)
	}
}

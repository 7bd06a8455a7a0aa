package tcpactor

import (
	"errors"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
)

// Frames has the handlers that factory makes, of any form, take one frame in each call: their Data
// shows the payload of a frame, and nothing else. newDecoder makes the decoder of each handler, or
// returns the same each time if it has no state. Optional methods of a handler are kept.
//
// A handler is not called before a frame is whole. Between two frames everything else has its turn:
// a Pause in the call of one frame holds back the next, although its bytes are there. ReadGate
// holds back the next frame while the answer to the last one is pending; GateLowWater or GateOff
// let a server of pipelined requests write several answers at once. In pull mode each frame, and
// nothing else, uses up a demand.
//
// What a handler does not consume of a frame is gone after the call. Forward and Take copy, because
// the frame shares the connection's memory with those behind it. AtEOF is true for the last frame,
// if the peer's FIN is known by then. An error of the decoder, and a stream that ends inside a
// frame, end the connection with ReasonHandlerError.
func Frames(newDecoder func() frame.Decoder, factory Factory) Factory {
	return framed{newDecoder, factory}
}

type framed struct {
	newDecoder func() frame.Decoder
	factory    Factory
}

// Open implements Factory.
func (f framed) Open() Receiver {
	return &framedReceiver{next: f.factory.Open(), decoder: made(f.newDecoder(), errNoDecoderMade)}
}

// Validate returns one sentence if a part is missing. It asks the factory of the handlers, if there
// is something to ask.
func (f framed) Validate() error {
	switch {
	case f.factory == nil:
		return errors.New("berth: Frames needs a handler of the frames")
	case f.newDecoder == nil:
		return errors.New("berth: Frames needs a function that makes a decoder")
	}
	if v, ok := f.factory.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// Keep implements Keeper for the factory of the handlers: their frames go with them.
func (f framed) Keep(next Factory) Factory { return Keep(f.factory, next) }

type framedReceiver struct {
	next    Receiver
	decoder frame.Decoder
	shown   protocol.Buffer // the frame that the handler is shown
}

// Receive implements Receiver.
func (r *framedReceiver) Receive(ctx actor.Context, message any) error {
	m, ok := message.(*protocol.Data)
	if !ok {
		return r.next.Receive(ctx, message)
	}
	data, offset := m.Buffer, m.Buffer.Offset()
	payload, err := r.decoder.Next(data)
	switch {
	case errors.Is(err, frame.ErrIncomplete):
		return r.incomplete(data)
	case err != nil:
		return err
	case data.Len() > 0: // the next frame has a call of its own
		if err := data.Need(1); err != nil {
			return err
		}
	}
	return r.show(ctx, m, payload, offset)
}

// incomplete asks for more bytes, unless the decoder has asked.
func (r *framedReceiver) incomplete(data *protocol.Buffer) error {
	if data.AtEOF() {
		return frame.Incomplete(data)
	}
	if data.Needed() <= data.Len() {
		return data.Need(data.Len() + 1)
	}
	return nil
}

// show puts the frame in the place of the connection's buffer for one call. The event stays the
// same one, so that an actor finds it in its context.
func (r *framedReceiver) show(ctx actor.Context, m *protocol.Data, payload []byte, offset uint64) error {
	before := *m
	defer func() {
		*m = before
		r.shown = protocol.Buffer{}
	}()
	(*protocol.Source)(&r.shown).ShowFrame(payload, before.Buffer, offset)
	m.Buffer, m.EOF = &r.shown, r.shown.AtEOF()
	return r.next.Receive(ctx, m)
}

// Drains implements Drainer for the handler of the frames.
func (r *framedReceiver) Drains() bool {
	d, ok := r.next.(Drainer)
	return ok && d.Drains()
}

// Ungated implements Ungated for the handler of the frames.
func (r *framedReceiver) Ungated() bool { return ungated(r.next) }

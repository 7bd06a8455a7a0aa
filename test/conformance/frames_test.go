package conformance

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
)

// Frames: a handler of any form takes one frame in each call. The frames here have five bytes.

// inFives has the handlers of a form take frames of five bytes.
func inFives(factory factoryOf) factoryOf {
	return func(s *server, play script) tcpactor.Factory {
		return tcpactor.Frames(func() frame.Decoder { return &frame.Fixed{Size: 5} }, factory(s, play))
	}
}

// texts returns what each Data showed.
func (t *tape) texts() (texts []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.events {
		if e.what == "data" {
			texts = append(texts, e.text)
		}
	}
	return texts
}

func TestAHandlerTakesOneFrameInEachCall(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(inFives(factory), script{}, only(connection.Options{})).connect()
		p.send("one..two..three")
		tape.sees("one..two..three")
		p.send("fo")
		w.settle()
		p.send("ur.five")
		tape.sees("one..two..threefour.")
		p.send(".")
		p.closeWrite()
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		assert.Equal(t, []string{"one..", "two..", "three", "four.", "five."}, tape.texts())
	})
}

func TestAPauseInTheCallOfAFrameHoldsTheNext(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		pauses := make(chan struct{}, 8) // each is on its way, and a Resume comes behind it
		p, tape := w.open(inFives(factory), script{data: func(t *tape, b *protocol.Buffer) error {
			t.socket.Pause()
			pauses <- struct{}{}
			b.Discard(b.Len())
			return nil
		}}, only(connection.Options{})).connect()
		p.send("one..two..three")
		p.closeWrite()
		for n := range 3 {
			received(w, pauses)
			w.settle()
			assert.Equal(t, n+1, tape.count("data"))
			tape.socket.Resume()
		}
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
	})
}

func TestEachFrameUsesUpOneDemand(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(inFives(factory), script{}, only(connection.Options{ReadMode: connection.Pull})).connect()
		tape.socket.Resume()
		p.send("on")
		w.settle()
		p.send("e..two..three")
		tape.sees("one..")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
		tape.socket.Do(&protocol.Resume{Credit: 3}, nil)
		tape.sees("one..two..three")
		p.send("four.five.")
		tape.sees("one..two..threefour.")
		w.settle()
		assert.Equal(t, 4, tape.count("data"))
	})
}

func TestAStreamThatEndsInsideAFrameIsAnError(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(inFives(factory), script{}, only(connection.Options{})).connect()
		p.send("one..tw")
		p.closeWrite()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonHandlerError, closed.Reason)
		assert.ErrorIs(t, closed.Err, io.ErrUnexpectedEOF)
		assert.Equal(t, []string{"one.."}, tape.texts())
	})
}

// With ReadGate each frame waits for the answer to the one before.
func TestEveryFrameIsAnsweredBeforeTheEnd(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(inFives(factory), script{data: func(t *tape, b *protocol.Buffer) error {
			assert.Zero(w.t, t.socket.Info().QueuedWrites)
			n, err := t.socket.Forward(b)
			t.book(n)
			return err
		}}, only(connection.Options{})).connect()
		sent := pattern(500)
		p.send(sent)
		p.closeWrite()
		same(t, sent, p.rest())
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		assert.Equal(t, 100, tape.count("data"))
	})
}

func TestTheFramesBehindOneThatPanicsAreTheNewHandlers(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(inFives(factory), failsOn("fail."), only(restarting(1))).connect()
		p.send("one..fail.threefour.")
		p.closeWrite()
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		assert.Equal(t, []string{"accepted", "data", "data", "again", "data", "data", "closed"}, tape.kinds())
		assert.Equal(t, []string{"one..", "fail.", "three", "four."}, tape.texts())
	})
}

func TestWhatIsTakenOfAFrameStaysTheHandlersOwn(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		var kept []string
		var taken [][]byte
		p, tape := w.open(inFives(handlersForm), script{data: func(_ *tape, b *protocol.Buffer) error {
			kept = append(kept, string(b.Bytes()))
			taken = append(taken, b.Take())
			return nil
		}}, only(connection.Options{ReadBufferSize: 100})).connect()
		p.send(pattern(5000))
		p.closeWrite()
		tape.ended()
		require.Len(t, taken, 1000)
		for i := range taken {
			assert.Equal(t, kept[i], string(taken[i]))
		}
		assert.Equal(t, pattern(5000), strings.Join(kept, ""))
	})
}

func TestAHandlerOfFramesKeepsItsOptionalMethods(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		if !w.network.virtual() {
			t.Skip("it is the same on each network")
		}
		o := connection.Options{DrainQuiet: time.Millisecond, KeepOpenOnPeerClosed: true}
		s := w.open(inFives(factory), script{
			peerClosed: func(t *tape) error { return t.say("peerclosed") },
			draining: func(t *tape, deadline time.Time) error {
				err := t.say("draining")
				return err
			},
			closed: func(*tape) {},
		}, only(o))
		p, tape := s.connect()
		p.closeWrite()
		if _, functions := factory(s, script{}).(tcpactor.Functions[protocol.Socket]); !functions {
			p.expect("peerclosed")
		}
		w.system.Root.Send(s.PID(), &protocol.Shutdown{Deadline: time.Now().Add(time.Minute)})
		if _, functions := factory(s, script{}).(tcpactor.Functions[protocol.Socket]); !functions {
			p.expect("draining")
		}
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonShutdown, tape.ended().Reason)
	})
}

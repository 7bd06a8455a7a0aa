package conformance

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// After one direction has ended, the connection lives on in the other, but for at most
// HalfCloseTimeout without traffic.

// halves are the ways for one direction to end. Each leaves the other open.
var halves = map[string]func(p *peer, tape *tape){
	"by the peer's FIN": func(p *peer, _ *tape) { p.closeWrite() },
	"by CloseWrite": func(_ *peer, tape *tape) {
		tape.socket.Do(&protocol.CloseWrite{}, tape.done("fin"))
		tape.await("fin")
	},
}

func TestAHalfClosedConnectionOnWhichNothingMovesEnds(t *testing.T) {
	mostlyWaits(t)
	for name, half := range halves {
		t.Run(name, func(t *testing.T) {
			eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
				const limit = 100 * time.Millisecond
				o := connection.Options{KeepOpenOnPeerClosed: true, HalfCloseTimeout: limit, CloseTimeout: limit, LingerTimeout: brief}
				s := w.open(factory, script{}, only(o))
				_, lives := s.connect()
				p, tape := s.connect()
				start := time.Now()
				half(p, tape)
				closed := tape.ended()
				assert.GreaterOrEqual(t, time.Since(start), limit)
				assert.Empty(t, p.rest(), "an orderly end")
				assert.Equal(t, protocol.ReasonHalfCloseTimeout, closed.Reason)
				assert.ErrorIs(t, closed.Err, protocol.ErrHalfCloseTimeout)
				assert.ErrorIs(t, closed.Err, os.ErrDeadlineExceeded)
				assert.Equal(t, protocol.StateOpen, lives.socket.Info().State, "a whole connection may be silent")
			})
		})
	}
}

func TestAHalfClosedConnectionLivesAsLongAsSomethingMoves(t *testing.T) {
	const limit = time.Minute // the default
	for name, one := range map[string]struct {
		half string
		move func(p *peer, tape *tape)
	}{
		"our replies": {"by the peer's FIN", func(p *peer, tape *tape) { _ = tape.say("x"); p.expect("x") }},
		"its input":   {"by CloseWrite", func(p *peer, _ *tape) { p.send("x") }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				p, tape := w.serve(script{}, connection.Options{KeepOpenOnPeerClosed: true}).connect()
				halves[one.half](p, tape)
				for range 100 {
					time.Sleep(limit - time.Second)
					one.move(p, tape)
				}
				start := time.Now()
				tape.left(protocol.StateOpen)
				within(t, limit, time.Since(start))
				assert.Equal(t, protocol.ReasonHalfCloseTimeout, tape.ended().Reason)
			})
		})
	}
}

func TestHalfCloseTimeoutBeginsAtTheHalfClose(t *testing.T) {
	for name, half := range halves {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				p, tape := w.serve(script{}, connection.Options{KeepOpenOnPeerClosed: true}).connect()
				time.Sleep(time.Hour)
				half(p, tape)
				start := time.Now()
				tape.left(protocol.StateOpen)
				within(t, time.Minute, time.Since(start))
			})
		})
	}
}

func TestAHalfCloseTimeoutFlushesWhatWasAccepted(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := roomy()
		o.KeepOpenOnPeerClosed, o.CloseTimeout = true, time.Hour
		p, tape := w.serve(script{}, o).connect()
		p.closeWrite()
		tape.await("peerclosed")
		tape.stall()
		time.Sleep(2 * time.Minute)
		assert.Equal(t, protocol.StateFlushing, tape.socket.Info().State)
		assert.Len(t, p.rest(), stallSize)
		assert.Equal(t, protocol.ReasonHalfCloseTimeout, tape.ended().Reason)
	})
}

func TestAHalfCloseTimeoutThatIsOffNeverEndsAConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{KeepOpenOnPeerClosed: true, HalfCloseTimeout: -1}).connect()
		p.closeWrite()
		tape.await("peerclosed")
		time.Sleep(24 * time.Hour)
		require.NoError(t, tape.say("still here"))
		p.expect("still here")
	})
}

func TestACloseWriteToAPeerThatIsGoneEndsTheConnection(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		w.needsReset()
		p, tape := w.serve(script{}, connection.Options{KeepOpenOnPeerClosed: true}).connect()
		p.closeWrite()
		tape.await("peerclosed")
		p.reset()
		w.settle()
		finished := make(chan error, 1) // it may come after Closed: the reset is noticed
		tape.socket.Do(&protocol.CloseWrite{}, func(err error) { finished <- err })
		assert.Error(t, <-finished)
		assert.Equal(t, protocol.ReasonPeerReset, tape.ended().Reason)
	})
}

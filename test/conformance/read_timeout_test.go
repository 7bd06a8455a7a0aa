package conformance

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// Bytes that the server sends do not keep a silent peer.

func TestASilentPeerEndsAtTheReadTimeoutWhateverTheServerSends(t *testing.T) {
	mostlyWaits(t)
	eachNetwork(t, func(t *testing.T, w *world) {
		const limit = 100 * time.Millisecond
		s := w.serve(script{}, connection.Options{ReadTimeout: limit, IdleTimeout: time.Hour})
		start := time.Now()
		p, tape := s.connect()
		sent := 0
		for tape.say("x") == nil {
			sent++
			w.yield()
			p.take(1)
		}
		assert.GreaterOrEqual(t, time.Since(start), limit)
		assert.NotZero(t, sent)
		assert.Empty(t, p.rest(), "an orderly end")
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonReadTimeout, closed.Reason)
		assert.ErrorIs(t, closed.Err, protocol.ErrReadTimeout)
		assert.ErrorIs(t, closed.Err, os.ErrDeadlineExceeded)
		assert.Zero(t, closed.Stats.Unsent)
	})
}

func TestAPeerThatSendsOneByteWithinTheReadTimeoutIsNeverEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{ReadTimeout: time.Minute}).connect()
		for range 100 {
			time.Sleep(time.Minute - time.Second)
			p.send("x")
		}
		tape.nth(100, "data")
		assert.Equal(t, protocol.StateOpen, tape.socket.Info().State)
	})
}

// A download has no limit of time: the server does not read meanwhile, so a peer that sends nothing
// does not count as silent.
func TestAPeerIsNotSilentWhileItTakesWhatIsSent(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const limit = 30 * time.Second
		p, tape := w.serve(script{}, connection.Options{ReadTimeout: limit, WriteBufferSize: 2 * stallSize}).connect()
		tape.stall()
		for left := stallSize; left > 0; left -= 32 << 10 {
			p.take(32 << 10)
			time.Sleep(5 * time.Second)
		}
		start := tape.await("stall").at
		assert.Empty(t, p.rest())
		within(t, limit, time.Since(start))
		p.close()
		assert.Equal(t, protocol.ReasonReadTimeout, tape.ended().Reason)
	})
}

func TestAfterAHalfCloseOnlyOurOwnKeepsTheReadTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := connection.Options{ReadTimeout: time.Minute, KeepOpenOnPeerClosed: true, HalfCloseTimeout: time.Hour}
		p, tape := w.serve(script{}, o).connect()
		p.closeWrite()
		tape.await("peerclosed")
		time.Sleep(30 * time.Minute)
		assert.Equal(t, protocol.StateOpen, tape.socket.Info().State, "nothing can come any more")

		p, tape = w.serve(script{}, o).connect()
		tape.socket.CloseWrite()
		start := time.Now()
		tape.left(protocol.StateOpen)
		within(t, o.ReadTimeout, time.Since(start))
		p.close()
		assert.Equal(t, protocol.ReasonReadTimeout, tape.ended().Reason)
	})
}

// A client has 30 seconds to log in, and no limit after that.
func TestAHandlerGivesItsConnectionTimeoutsOfItsOwn(t *testing.T) {
	mostlyWaits(t)
	login := map[string]protocol.Timeouts{
		"idle": {Idle: 100 * time.Millisecond},
		"read": {Read: 100 * time.Millisecond},
	}
	for name, before := range login {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				s := w.serve(script{
					accepted: func(t *tape) error { t.socket.SetTimeouts(before); return nil },
					data: func(t *tape, b *protocol.Buffer) error {
						t.socket.SetTimeouts(protocol.Timeouts{})
						return echo(t, b)
					},
				}, connection.Options{})
				p := s.client()
				p.send("log in")
				tape := s.next()
				p.expect("log in")
				for range 2 {
					stranger, silent := s.connect()
					stranger.rest()
					stranger.close()
					assert.Contains(t, []protocol.Reason{protocol.ReasonIdleTimeout, protocol.ReasonReadTimeout}, silent.ended().Reason)
				}
				p.send("still there")
				p.expect("still there")
				p.close()
				assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
				tape.socket.SetTimeouts(before) // it has ended: nothing to limit
			})
		})
	}
}

func TestAConnectionMayHaveAnAgeOfItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, connection.Options{})
		p, tape := s.connect()
		start := time.Now()
		time.Sleep(time.Minute)
		tape.socket.SetTimeouts(protocol.Timeouts{MaxAge: 10 * time.Minute})
		assert.Empty(t, p.rest())
		p.close()
		assert.Equal(t, protocol.ReasonMaxAge, tape.ended().Reason)
		assert.InDelta(t, 10*time.Minute, time.Since(start), float64(time.Minute+time.Second))

		p, tape = s.connect()
		time.Sleep(time.Hour)
		tape.socket.SetTimeouts(protocol.Timeouts{MaxAge: 10 * time.Minute}) // which it has passed
		start = time.Now()
		assert.Empty(t, p.rest())
		assert.LessOrEqual(t, time.Since(start), 2*sweep)
		p.close()
		assert.Equal(t, protocol.ReasonMaxAge, tape.ended().Reason)
	})
}

package conformance

import (
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// At its MaxAge a connection drains as in a shutdown, alone.

func TestAConnectionThatIsQuietEndsAtItsMaxAge(t *testing.T) {
	mostlyWaits(t)
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		o := connection.Options{MaxAge: 200 * time.Millisecond, DrainQuiet: 20 * time.Millisecond}
		start := time.Now()
		p, tape := w.open(factory, script{}, only(o)).connect()
		assert.Empty(t, p.rest(), "an orderly end")
		assert.GreaterOrEqual(t, time.Since(start), 180*time.Millisecond)
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonMaxAge, closed.Reason)
		assert.NoError(t, closed.Err)
	})
}

func TestOfConnectionsAcceptedTogetherEachEndsAtItsOwnAge(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const count = 20
		s := w.serve(script{}, connection.Options{MaxAge: 50 * time.Minute, CloseTimeout: time.Second})
		start := time.Now()
		var tapes []*tape
		for range count {
			_, tape := s.connect()
			tapes = append(tapes, tape)
		}
		require.Zero(t, time.Since(start))
		var ages []time.Duration
		for _, tape := range tapes {
			assert.Equal(t, protocol.ReasonMaxAge, tape.ended().Reason)
			ages = append(ages, tape.await("closed").at.Sub(start))
		}
		slices.Sort(ages)
		assert.GreaterOrEqual(t, ages[0], 45*time.Minute)
		assert.LessOrEqual(t, ages[count-1], 55*time.Minute+2*time.Second)
		for i := range count - 1 {
			assert.Greater(t, ages[i+1]-ages[i], 10*time.Second)
		}
	})
}

// aging are options under which a connection reaches its MaxAge after 9 to 11 minutes.
func aging() connection.Options {
	return connection.Options{MaxAge: 10 * time.Minute, MaxAgeGrace: 30 * time.Second, WriteBufferSize: 2 * stallSize, WriteTimeout: -1}
}

// told waits for the nth Draining and returns its Deadline.
func (t *tape) told(n int) time.Time {
	t.w.t.Helper()
	return t.nth(n, "draining").any.(time.Time)
}

func TestAHandlerWithDrainingGoesOnUntilItClosesOrItsGraceIsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.serve(script{data: echo, draining: func(*tape, time.Time) error { return nil }}, aging())
		p, tape := s.connect()
		deadline := tape.told(1)
		assert.InDelta(t, 30*time.Second, time.Until(deadline), float64(time.Second))
		time.Sleep(20 * time.Second)
		p.send("still served")
		p.expect("still served")
		assert.Empty(t, p.rest())
		assert.Zero(t, time.Until(deadline).Truncate(time.Second))
		assert.GreaterOrEqual(t, time.Since(deadline), time.Duration(0), "what it was promised it has")
		p.close()
		assert.Equal(t, protocol.ReasonMaxAge, tape.ended().Reason)
		assert.Equal(t, 1, tape.count("draining"))
	})
	inBubble(t, func(t *testing.T, w *world) {
		s := w.serve(script{draining: func(t *tape, _ time.Time) error { return t.socket.Close() }}, aging())
		p, tape := s.connect()
		assert.Empty(t, p.rest())
		p.close()
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason, "it decided itself")
	})
}

// busy keeps an echoing connection from being quiet for half a second.
func (p *peer) busy() {
	p.w.t.Helper()
	p.send("busy")
	p.expect("busy")
	time.Sleep(time.Second / 2)
}

func TestAConnectionThatIsBusyAtItsMaxAgeHasItsGrace(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p, tape := w.open(factories["actors"], script{data: echo}, only(aging())).connect()
		for tape.count("draining") == 0 {
			p.busy()
		}
		for time.Until(tape.told(1)) > time.Second/2 {
			p.busy()
		}
		assert.Equal(t, protocol.StateOpen, tape.socket.Info().State)
		assert.Empty(t, p.rest())
		p.close()
		assert.Equal(t, protocol.ReasonMaxAge, tape.ended().Reason)
	})
}

func TestAStalledPeerDoesNotOutliveMaxAgeItsGraceAndCloseTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		_, tape := w.open(factories["actors"], script{}, only(aging())).connect()
		tape.stall()
		deadline := tape.told(1)
		closed := tape.ended()
		within(t, 5*time.Second, time.Since(deadline))
		assert.Equal(t, protocol.ReasonMaxAge, closed.Reason)
		assert.ErrorIs(t, closed.Err, protocol.ErrCloseTimeout)
		assert.ErrorIs(t, tape.await("stall").err, protocol.ErrCloseTimeout)
	})
}

func TestWithoutAGraceAnAgedConnectionEndsOnlyWhenItIsQuiet(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := aging()
		o.MaxAgeGrace = -1
		p, tape := w.open(factories["actors"], script{data: echo}, only(o)).connect()
		for tape.count("draining") == 0 {
			p.busy()
		}
		assert.Zero(t, tape.told(1))
		for range 1000 {
			p.busy()
		}
		start := time.Now()
		tape.left(protocol.StateOpen)
		assert.LessOrEqual(t, time.Since(start), time.Second, "DrainQuiet")
		assert.Equal(t, protocol.ReasonMaxAge, tape.ended().Reason)
	})
}

func TestAShutdownIsToldAlsoToAConnectionThatKnowsOfItsMaxAge(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := aging()
		o.MaxAgeGrace = time.Hour
		s := w.serve(script{draining: func(*tape, time.Time) error { return nil }}, o)
		p, tape := s.connect()
		assert.Greater(t, time.Until(tape.told(1)), 50*time.Minute)
		go p.rest()
		w.system.Root.Send(s.PID(), &protocol.Shutdown{Deadline: time.Now().Add(20 * time.Second)})
		assert.Equal(t, 19*time.Second, time.Until(tape.told(2)).Round(time.Second))
		assert.Equal(t, protocol.ReasonShutdown, tape.ended().Reason)
		<-s.Done()
		assert.Equal(t, 2, tape.count("draining"))
	})
}

func TestMaxAgeIsToldAfterABlockedCall(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		play := script{
			message:  func(*tape, actor.Context, any) error { <-release; return nil },
			draining: func(*tape, time.Time) error { return nil },
		}
		p, tape := w.serve(play, aging()).connect()
		w.system.Root.Send(tape.socket.PID(), "block")
		time.Sleep(time.Hour)
		close(release)
		assert.True(t, time.Now().After(tape.told(1)))
		assert.Empty(t, p.rest())
		p.close()
		assert.Equal(t, protocol.ReasonMaxAge, tape.ended().Reason)
	})
}

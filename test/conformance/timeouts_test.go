package conformance

import (
	"crypto/tls"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// The limits of time, spec 6, in bubbles. A limit is kept if the end comes not before it and at
// most an eighth of it later.

func within(t *testing.T, limit, took time.Duration) {
	t.Helper()
	assert.GreaterOrEqual(t, took, limit)
	assert.LessOrEqual(t, took, limit+limit/8)
}

func TestAnIdleConnectionEndsAtItsTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{IdleTimeout: 5 * time.Minute}).connect()
		time.Sleep(4*time.Minute + 59*time.Second)
		p.send("alive")
		active := time.Now()
		tape.sees("alive")
		for range 4 * 60 { // messages are no traffic
			time.Sleep(time.Second)
			w.system.Root.Send(tape.socket.PID(), "tick")
			tape.socket.Resume()
		}
		p.rest()
		within(t, 5*time.Minute, time.Since(active))
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonIdleTimeout, closed.Reason)
		assert.ErrorIs(t, closed.Err, os.ErrDeadlineExceeded)
	})
}

func TestAConnectionIsNeverIdleByDefault(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: echo}, connection.Options{}).connect()
		time.Sleep(2 * time.Hour)
		p.send("hello")
		p.expect("hello")
		assert.Equal(t, protocol.StateOpen, tape.socket.Info().State)
	})
}

func TestAWriteWithoutProgressEndsAtItsTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := connection.Options{WriteBufferSize: stallSize, WriteTimeout: 30 * time.Second}
		_, tape := w.serve(script{}, o).connect()
		tape.stall()
		start := time.Now()
		closed := tape.ended()
		within(t, 30*time.Second, time.Since(start))
		assert.Equal(t, protocol.ReasonWriteTimeout, closed.Reason)
		assert.ErrorIs(t, tape.await("stall").err, protocol.ErrWriteTimeout)
		assert.Positive(t, closed.Stats.Unsent)
	})
}

func TestAWriteWithProgressTakesAsLongAsItTakes(t *testing.T) {
	for name, write := range map[string]func(w *world, t *tape) error{
		"one slice": func(_ *world, t *tape) error { return t.write("big", pattern(4<<20)) },
		"file": func(w *world, t *tape) error {
			err := t.socket.WriteFile(w.file(pattern(4<<20)), 0, 4<<20, t.done("big"))
			t.owe("big", 4<<20, err)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				p, tape := w.serve(script{}, connection.Options{WriteBufferSize: 4 << 20, WriteTimeout: 30 * time.Second}).connect()
				require.NoError(t, write(w, tape))
				for range 64 {
					time.Sleep(5 * time.Second)
					_ = p.take(64 << 10)
				}
				assert.NoError(t, tape.await("big").err)
			})
		})
	}
}

func TestAFlushThatStallsIsCutOffAtTheCloseTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := roomy()
		o.CloseTimeout = 5 * time.Second
		_, tape := w.serve(script{}, o).connect()
		tape.stall()
		require.NoError(t, tape.say("more"))
		start := time.Now()
		_ = tape.socket.Close()
		closed := tape.ended()
		within(t, 5*time.Second, time.Since(start))
		assert.Equal(t, protocol.ReasonLocalClosed, closed.Reason)
		assert.ErrorIs(t, closed.Err, protocol.ErrCloseTimeout)
		assert.Greater(t, closed.Stats.Unsent, uint64(4))
		assert.ErrorIs(t, tape.await("stall").err, protocol.ErrCloseTimeout)
	})
}

func TestADrainWithoutFINEndsAtTheLingerTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		require.NoError(t, tape.say("bye"))
		start := time.Now()
		_ = tape.socket.Close()
		assert.Equal(t, "bye", p.rest())
		closed := tape.ended()
		within(t, time.Second, time.Since(start))
		assert.NoError(t, closed.Err, "everything was flushed")
	})
}

func TestAClientThatStallsInTheHandshakeIsDroppedAtItsTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errBroken }}
		s := w.listen(script{}, listener.Options{TLSConfig: config})
		p := s.client()
		start := time.Now()
		p.send("\x16\x03\x01") // the beginning of a ClientHello
		_, _ = p.all()
		within(t, 5*time.Second, time.Since(start))
		time.Sleep(time.Second)
		assert.Zero(t, s.Info().Open)
		assert.Empty(t, w.tapes, "no handler saw it")
	})
}

func TestANegativeTimeoutIsOff(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := roomy()
		o.CloseTimeout, o.IdleTimeout = -1, -1
		p, tape := w.serve(script{}, o).connect()
		tape.stall()
		_ = tape.socket.Close()
		time.Sleep(time.Hour)
		assert.Len(t, p.rest(), stallSize)
	})
}

func TestAnUnansweredShutdownTakesItsTimeAndNoMore(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.serve(script{draining: func(*tape, time.Time) error { return nil }}, connection.Options{})
		s.connect()
		start := time.Now()
		w.system.Root.Send(s.PID(), &protocol.Shutdown{})
		<-s.Done()
		assert.LessOrEqual(t, time.Since(start), 15*time.Second, "ShutdownTimeout")
		assert.GreaterOrEqual(t, time.Since(start), 14*time.Second, "a second before it, it closes")
	})
}

package conformance

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// G6: once a pause took effect no Data until Resume; bytes already read are held. Flags, not
// counters: idempotent, never fail, never overflow.

// pauseOnce pauses in the first Data, consuming nothing.
func pauseOnce() script {
	return script{data: func(t *tape, b *protocol.Buffer) error {
		if t.count("data") == 1 {
			t.socket.Pause()
			return nil
		}
		b.Discard(b.Len())
		return nil
	}}
}

// paused waits until a pause has taken effect.
func (t *tape) paused() {
	for !t.socket.Info().Paused {
		t.w.yield()
	}
}

func TestAPauseLetsNoMoreDataThrough(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, pauseOnce(), only(connection.Options{})).connect()
		p.send("first")
		tape.paused()
		p.send("second")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
		assert.True(t, tape.socket.Info().Paused)
		tape.socket.Resume()
		tape.sees("firstsecond")
	})
}

func TestAPauseHoldsTheBytesAlreadyRead(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(pauseOnce(), connection.Options{}).connect()
		p.send("held")
		tape.paused()
		tape.socket.Resume()
		assert.Equal(t, "held", tape.nth(2, "data").text)
	})
}

func TestAPauseInAcceptedComesBeforeAllData(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, script{accepted: func(t *tape) error { t.socket.Pause(); return nil }}, only(connection.Options{}))
		p, tape := s.connect()
		p.send("early")
		w.settle()
		assert.Equal(t, []string{"accepted"}, tape.kinds())
		tape.socket.Resume()
		tape.sees("early")
	})
}

func TestAPauseFromOutsideTakesEffectAtItsCompletion(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{ReadBufferSize: 64}).connect()
		sent := strings.Repeat("stream of bytes ", 2000)
		go func() { _, _ = p.Write([]byte(sent)) }()
		tape.await("data")
		for round := 1; round <= 5; round++ {
			tape.socket.Do(&protocol.Pause{}, tape.done("paused"))
			tape.nth(round, "paused")
			w.settle()
			kinds := tape.kinds()
			assert.Equal(t, "paused", kinds[len(kinds)-1], "nothing after the pause")
			tape.socket.Resume()
		}
		tape.sees(sent)
	})
}

func TestPauseAndResumeAreFlags(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		for range 1000 {
			tape.socket.Pause()
		}
		tape.socket.Resume()
		p.send("one resume is enough")
		tape.sees("one resume is enough")
		for range 1000 {
			tape.socket.Resume()
		}
		tape.socket.Do(&protocol.Pause{}, tape.done("paused"))
		tape.await("paused")
		before := tape.count("data")
		p.send("and one pause")
		w.settle()
		assert.Equal(t, before, tape.count("data"))
	})
}

func TestAPausedConnectionStillWritesAndCloses(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{accepted: func(t *tape) error { t.socket.Pause(); return t.say("hello") }}, connection.Options{}).connect()
		p.send("ignored")
		p.expect("hello")
		_ = tape.socket.Close()
		assert.Empty(t, p.rest())
		p.close()
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason)
		assert.Equal(t, 0, tape.count("data"))
	})
}

func TestInPullModeEachResumeBringsOneData(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{}, only(connection.Options{ReadMode: connection.Pull, ReadBufferSize: 4})).connect()
		p.send("aaaabbbbccccdddd")
		w.settle()
		assert.Equal(t, 0, tape.count("data"), "none before the first Resume")
		for n, text := range []string{"aaaa", "bbbb", "cccc"} {
			tape.socket.Resume()
			assert.Equal(t, text, tape.nth(n+1, "data").text)
			w.settle()
			assert.Equal(t, n+1, tape.count("data"))
		}
	})
}

func TestCreditsBringAsManyData(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		for _, mode := range []connection.Mode{connection.Push, connection.Pull} {
			p, tape := w.serve(script{accepted: func(t *tape) error { t.socket.Pause(); return nil }},
				connection.Options{ReadMode: mode, ReadBufferSize: 4}).connect()
			p.send("aaaabbbbccccddddeeee")
			tape.socket.Do(&protocol.Resume{Credit: 2}, nil)
			tape.nth(2, "data")
			w.settle()
			assert.Equal(t, 2, tape.count("data"))
			tape.socket.Do(&protocol.Resume{Credit: 1}, nil)
			tape.nth(3, "data")
			w.settle()
			assert.Equal(t, 3, tape.count("data"))
		}
	})
}

func TestCreditsAddUpAndNeverOverflow(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{ReadMode: connection.Pull, ReadBufferSize: 4}).connect()
		for range 5 {
			tape.socket.Do(&protocol.Resume{Credit: math.MaxInt}, nil)
		}
		tape.socket.Do(&protocol.Resume{Credit: 2}, nil)
		p.send(pattern(400))
		tape.sees(pattern(400))
	})
}

func TestInPushModeAResumeWithoutCreditLiftsTheLimit(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{accepted: func(t *tape) error { t.socket.Do(&protocol.Resume{Credit: 1}, nil); return nil }},
			connection.Options{ReadBufferSize: 4}).connect()
		p.send("aaaabbbbcccc")
		tape.await("data")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
		tape.socket.Resume()
		tape.sees("aaaabbbbcccc")
	})
}

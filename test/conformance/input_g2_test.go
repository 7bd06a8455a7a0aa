package conformance

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// G2: the bytes shown are exactly a prefix of what the peer sent, in order; everything received
// before FIN or RST is shown before Closed. Unread bytes lead the next Data, which the tape checks
// for every Data. There is no new call without new bytes or a Resume. A Resume forces a call if
// there are unread bytes, and none otherwise.

func TestTheInputIsWhatThePeerSent(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		random := rand.New(rand.NewPCG(1, 2))
		p, tape := w.open(factory, script{data: func(_ *tape, b *protocol.Buffer) error {
			b.Discard(b.Len() - b.Len()/3)
			return nil
		}}, only(connection.Options{})).connect()
		sent := pattern(300_000)
		for left := sent; left != ""; {
			n := min(len(left), 1+random.IntN(10_000))
			p.send(left[:n])
			left = left[n:]
		}
		p.closeWrite()
		tape.ended()
		same(t, sent, tape.seen())
	})
}

func TestNoDataShowsMoreThanTheReadBufferHolds(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{ReadBufferSize: 1000}).connect()
		p.send(pattern(100_000))
		p.closeWrite()
		tape.ended()
		for _, e := range tape.events {
			assert.LessOrEqual(t, len(e.text), 1000)
		}
		same(t, pattern(100_000), tape.seen())
	})
}

func TestEverythingBeforeAFINIsShownBeforeClosed(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{accepted: func(t *tape) error { t.socket.Pause(); return nil }}, connection.Options{}).connect()
		p.send("last words")
		p.close()
		w.settle()
		tape.socket.Resume()
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		assert.Equal(t, "last words", tape.seen())
	})
}

func TestEverythingBeforeARSTIsShownBeforeClosed(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		w.needsReset()
		p, tape := w.serve(script{accepted: func(t *tape) error { t.socket.Pause(); return nil }}, connection.Options{}).connect()
		p.send("last words")
		p.reset()
		w.settle()
		tape.socket.Resume()
		assert.Equal(t, protocol.ReasonPeerReset, tape.ended().Reason)
		assert.Equal(t, "last words", tape.seen())
	})
}

func TestEverythingBeforeARSTIsShownAlsoWhenWritingFailsFirst(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		w.needsReset()
		p, tape := w.serve(script{}, roomy()).connect()
		tape.stall() // and with it the read gate closes
		p.send("last words")
		p.reset()
		assert.Equal(t, protocol.ReasonPeerReset, tape.ended().Reason)
		assert.Equal(t, "last words", tape.seen())
	})
}

func TestAHandlerThatFailsOrClosesIsShownNoMoreAlsoOfTheLastWords(t *testing.T) {
	for name, end := range map[string]func(t *tape) error{
		"fails":  func(*tape) error { return errors.New("enough") },
		"closes": func(t *tape) error { return t.socket.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				w.needsReset()
				o := roomy()
				o.ReadBufferSize = 4
				p, tape := w.serve(script{data: func(t *tape, b *protocol.Buffer) error { b.Discard(b.Len()); return end(t) }}, o).connect()
				tape.stall()
				p.send("last words")
				p.reset()
				assert.Equal(t, protocol.ReasonPeerReset, tape.ended().Reason, "which came first")
				assert.LessOrEqual(t, tape.count("data"), 1)
			})
		})
	}
}

func TestUnreadLastBytesDoNotKeepAConnection(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		w.needsReset()
		o := roomy()
		o.ReadBufferSize, o.CloseTimeout = 4, -1
		p, tape := w.serve(script{data: leave}, o).connect()
		tape.stall()
		p.send("last words")
		p.reset()
		assert.Equal(t, protocol.ReasonPeerReset, tape.ended().Reason)
		assert.Equal(t, "last", tape.seen(), "the read buffer holds no more")
	})
}

func TestUnreadBytesLeadTheNextData(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: func(_ *tape, b *protocol.Buffer) error { b.Discard(1); return nil }}, connection.Options{}).connect()
		p.send("abc")
		assert.Equal(t, "abc", tape.nth(1, "data").text)
		p.send("d")
		assert.Equal(t, "bcd", tape.nth(2, "data").text)
	})
}

func TestNoCallComesWithoutNewBytes(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: leave}, connection.Options{}).connect()
		p.send("abc")
		tape.await("data")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
	})
}

func TestAResumeForcesACallWithTheUnreadBytes(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{data: leave}, only(connection.Options{})).connect()
		p.send("abc")
		tape.await("data")
		tape.socket.Resume()
		assert.Equal(t, "abc", tape.nth(2, "data").text)
		w.settle()
		assert.Equal(t, 2, tape.count("data"), "one call for one Resume")
	})
}

func TestAResumeWithoutUnreadBytesForcesNoCall(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{}, only(connection.Options{})).connect()
		p.send("abc")
		tape.sees("abc")
		tape.socket.Do(&protocol.Resume{}, tape.done("resumed"))
		tape.await("resumed")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
	})
}

func TestAResumeForcesACallAlsoAfterTheFIN(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: leave}, connection.Options{KeepOpenOnPeerClosed: true}).connect()
		p.send("abc")
		p.closeWrite()
		tape.await("peerclosed")
		before := tape.count("data")
		tape.socket.Resume()
		again := tape.nth(before+1, "data")
		assert.Equal(t, "abc", again.text)
		assert.True(t, again.flag, "nothing follows it")
		_ = tape.socket.Close()
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason)
	})
}

func TestAtMostOneDataIsOutstanding(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		entered, release := make(chan struct{}), make(chan struct{})
		p, tape := w.serve(script{data: func(_ *tape, b *protocol.Buffer) error {
			if b.IndexByte('!') >= 0 {
				close(entered)
				<-release
			}
			b.Discard(b.Len())
			return nil
		}}, connection.Options{ReadBufferSize: 4096}).connect()
		p.send("!")
		<-entered
		p.send(strings.Repeat(".", 22_000))
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
		assert.LessOrEqual(t, tape.socket.Info().Stats.Read, uint64(4097), "read ahead")
		close(release)
		tape.until("the rest", func([]event) bool { return len(tape.seen()) == 22_001 })
	})
}

func TestTheLastDataIsMarkedEOF(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: leave}, connection.Options{}).connect()
		p.send("half a li")
		tape.await("data")
		p.closeWrite()
		last := tape.nth(2, "data")
		assert.Equal(t, "half a li", last.text)
		assert.True(t, last.flag)
		assert.False(t, tape.nth(1, "data").flag)
		tape.ended()
		assert.Equal(t, 2, tape.count("data"))
	})
}

func TestAtEOFWithNothingUnreadThereIsNoMoreData(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		p.send("a line")
		tape.sees("a line")
		p.closeWrite()
		tape.ended()
		assert.Equal(t, 1, tape.count("data"))
	})
}

func TestAFullReadBufferWithNothingConsumedEndsTheConnection(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: leave}, connection.Options{ReadBufferSize: 100}).connect()
		p.send(pattern(150))
		p.rest()
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonReadBufferFull, closed.Reason)
		assert.ErrorIs(t, closed.Err, protocol.ErrReadBufferFull)
		assert.Equal(t, pattern(100), tape.seen(), "the buffer was shown when it was full")
	})
}

func TestAFullReadBufferCanBeHeld(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		full := true
		p, tape := w.serve(script{data: func(_ *tape, b *protocol.Buffer) error {
			if !full {
				b.Discard(b.Len())
			}
			full = full && b.Len() < 100
			return nil
		}}, connection.Options{ReadBufferSize: 100, HoldFullReadBuffer: true}).connect()
		p.send(pattern(150))
		tape.until("a full buffer", func([]event) bool { return len(tape.seen()) == 100 })
		w.settle()
		assert.Equal(t, 0, tape.count("closed"))
		tape.socket.Resume()
		tape.sees(pattern(150))
		require.Equal(t, protocol.StateOpen, tape.socket.Info().State)
	})
}

func TestAFullReadBufferIsNoFaultWhilePaused(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			if b.Len() == 100 {
				t.socket.Pause()
			}
			return nil
		}}, connection.Options{ReadBufferSize: 100}).connect()
		p.send(pattern(150))
		tape.until("a full buffer", func([]event) bool { return len(tape.seen()) == 100 })
		w.settle()
		assert.Equal(t, protocol.StateOpen, tape.socket.Info().State)
	})
}

func TestDetachedBytesStayTheHandlersOwn(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		var kept [][]byte
		p, tape := w.serve(script{data: func(_ *tape, b *protocol.Buffer) error { kept = append(kept, b.Take()); return nil }},
			connection.Options{}).connect()
		sent := pattern(100_000)
		p.send(sent)
		p.closeWrite()
		tape.ended()
		var all strings.Builder
		for _, piece := range kept {
			all.Write(piece)
		}
		same(t, sent, all.String())
	})
}

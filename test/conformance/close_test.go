package conformance

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// The close family, spec 5.

func TestCloseFlushesThenSendsFINThenDrains(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{}, only(roomy())).connect()
		tape.stall()
		_ = tape.socket.Close()
		assert.ErrorIs(t, tape.say("late"), protocol.ErrClosed)
		p.take(stallSize / 2)
		p.send("the server has stopped listening, and that must not reset the rest")
		assert.Len(t, p.rest(), stallSize/2)
		p.send("neither now")
		p.closeWrite()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonLocalClosed, closed.Reason)
		assert.NoError(t, closed.Err)
		assert.Zero(t, closed.Stats.Unsent)
		assert.Equal(t, 0, tape.count("data"))
	})
}

func TestCloseIsNeverRefusedByAFullQueue(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{WriteBufferSize: stallSize, WriteQueueSize: 1}).connect()
		tape.stall()
		require.Error(t, tape.say("x"))
		tape.socket.Do(&protocol.Close{}, tape.done("closing"))
		assert.Len(t, p.rest(), stallSize)
		p.close()
		tape.ended()
		assert.NoError(t, tape.await("closing").err)
	})
}

func TestCloseTwiceIsCloseOnce(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{accepted: func(t *tape) error { return t.say("bye") }}, connection.Options{}).connect()
		for range 3 {
			assert.NoError(t, tape.socket.Close())
			tape.socket.Do(&protocol.Close{}, tape.done("closing"))
		}
		assert.Equal(t, "bye", p.rest())
		p.close()
		tape.ended()
		assert.Equal(t, 3, tape.count("closing"))
	})
}

func TestTheAnswerToACloseTellsWhetherItWasOrderly(t *testing.T) {
	mostlyWaits(t)
	for name, ask := range map[string]func(w *world, t *tape) (outcome func() error){
		"handle": func(_ *world, t *tape) func() error {
			t.socket.Do(&protocol.Close{}, t.done("closing"))
			return func() error { return t.await("closing").err }
		},
		"PID": func(w *world, t *tape) func() error {
			a := w.asker()
			a.send(t.socket.PID(), &protocol.Close{Ack: "ack"})
			return func() error {
				done, ok := a.answer().(*protocol.Done)
				require.True(w.t, ok)
				assert.Equal(w.t, "ack", done.Ack)
				return done.Err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				o := roomy()
				o.CloseTimeout = 50 * time.Millisecond
				_, cutOff := w.serve(script{}, o).connect()
				cutOff.stall() // and the peer does not read
				outcome := ask(w, cutOff)
				assert.ErrorIs(t, outcome(), protocol.ErrCloseTimeout)
				assert.ErrorIs(t, cutOff.ended().Err, protocol.ErrCloseTimeout)

				p, orderly := w.serve(script{}, roomy()).connect()
				orderly.stall()
				outcome = ask(w, orderly)
				assert.Len(t, p.rest(), stallSize)
				p.close()
				assert.NoError(t, outcome())
				assert.NoError(t, orderly.ended().Err)
			})
		})
	}
}

func TestCloseWriteSendsFINAndReadsOn(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{}, only(roomy())).connect()
		tape.stall()
		tape.socket.CloseWrite()
		assert.ErrorIs(t, tape.say("late"), protocol.ErrClosed)
		assert.Len(t, p.rest(), stallSize)
		p.send("still heard")
		tape.sees("still heard")
		p.closeWrite()
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
	})
}

// The end may come inside the call if the writer has ended before.
func TestADetachBeforeAPanicIsCountedOnce(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		var kept []byte
		s := w.serve(script{data: func(_ *tape, b *protocol.Buffer) error {
			if b.Peek(1)[0] == 'm' {
				kept = b.Take()
			} else {
				b.Discard(5)
			}
			return errEnough
		}}, connection.Options{})
		ends := func(text string) *tape {
			p, tape := s.connect()
			tape.socket.Do(&protocol.CloseWrite{}, tape.done("finished"))
			tape.await("finished")
			p.send(text)
			p.rest()
			p.close()
			tape.ended()
			return tape
		}
		detached, left := ends("mine"), ends("some left")
		assert.Equal(t, "mine", string(kept))
		assert.Zero(t, detached.closed.Stats.Unread)
		assert.Equal(t, uint64(4), left.closed.Stats.Unread)
	})
}

func TestCloseAfterCloseWriteEndsTheConnection(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		tape.socket.CloseWrite()
		p.rest()
		_ = tape.socket.Close()
		p.close()
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason)
	})
}

func TestAbortAfterCloseWriteEndsTheConnection(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		tape.socket.Do(&protocol.CloseWrite{}, tape.done("finished"))
		tape.await("finished")
		p.rest()
		tape.socket.Abort()
		assert.Equal(t, protocol.ReasonLocalAborted, tape.ended().Reason)
	})
}

func TestAbortAfterCloseEndsTheDrain(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{CloseTimeout: -1}).connect()
		_ = tape.socket.Close()
		p.rest()
		tape.socket.Abort()
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason, "the first cause")
	})
}

func TestAnAbortThatCutsOffAFlushIsWhatTheWritesFailWith(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, roomy()).connect()
		tape.stall()
		tape.socket.Do(&protocol.Close{}, nil)
		for tape.socket.Info().State != protocol.StateFlushing {
			w.yield()
		}
		tape.socket.Abort()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonLocalClosed, closed.Reason, "the first cause")
		assert.ErrorIs(t, closed.Err, protocol.ErrAborted)
		assert.ErrorIs(t, tape.await("stall").err, protocol.ErrAborted)
	})
}

func TestAbortResetsAtOnce(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{}, only(roomy())).connect()
		tape.stall()
		tape.socket.Abort()
		assert.Equal(t, protocol.ReasonLocalAborted, tape.ended().Reason)
		assert.ErrorIs(t, tape.closed.Err, protocol.ErrAborted)
		_, err := p.all()
		if w.network.resets {
			assert.Error(t, err, "RST, not FIN")
		}
	})
}

func TestAbortDoesNotWaitForABlockedHandler(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		p, tape := w.serve(script{data: func(*tape, *protocol.Buffer) error { <-release; return nil }}, connection.Options{}).connect()
		p.send("x")
		tape.await("data")
		tape.socket.Abort()
		_, _ = p.all() // returns, although the handler does not
		assert.Equal(t, 0, tape.count("closed"))
		close(release)
		tape.ended()
	})
}

func TestRepliesOf8MBAreWholeAfterAHalfClose(t *testing.T) {
	rounds, size := 20, 8<<20
	if testing.Short() {
		rounds, size = 3, 2<<20
	}
	reply := pattern(size)
	eachNetwork(t, func(t *testing.T, w *world) {
		rounds := rounds
		switch {
		case w.network.family != "tcp":
			rounds = min(rounds, 3) // without TCP below, one is like the other
		case w.network.secured:
			rounds = min(rounds, 4) // the records take most of the time
		}
		s := w.listen(script{data: func(t *tape, b *protocol.Buffer) error {
			if b.AtEOF() {
				return t.write("reply", reply)
			}
			return nil // the request is read at EOF
		}}, listener.Options{SendBufferSize: 4 << 20, Connection: connection.Options{WriteBufferSize: size}})
		for range rounds {
			p, tape := s.connect()
			p.send("request")
			p.closeWrite()
			same(t, reply, p.rest())
			p.close()
			assert.NoError(t, tape.await("reply").err)
			assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		}
	})
}

func TestKeptOpenThePeersFINIsAnEvent(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		if strings.Contains(t.Name(), "functions") {
			t.Skip("no part of this form")
		}
		p, tape := w.open(factory, script{peerClosed: func(t *tape) error { return t.say("you closed") }},
			only(connection.Options{KeepOpenOnPeerClosed: true})).connect()
		p.send("x")
		p.closeWrite()
		p.expect("you closed")
		require.NoError(t, tape.say(", I have not"))
		p.expect(", I have not")
		assert.Equal(t, 1, tape.count("peerclosed"))
		_ = tape.socket.Close()
		assert.Empty(t, p.rest())
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason)
	})
}

func TestWritableAlternatesStrictly(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := roomy()
		o.HighWater, o.LowWater = 1000, 500
		p, tape := w.serve(script{}, o).connect()
		tape.stall() // nothing is read yet: a rise and a fall between two turns of the connection would be no event
		assert.False(t, tape.await("writable").flag)
		go func() { _, _ = io.Copy(io.Discard, p.Conn) }()
		for n := range 300 {
			for tape.say(strings.Repeat("x", 1+n*31%900)) != nil {
				w.yield()
			}
		}
		tape.await("stall")
		w.settle()
		want := false
		for _, e := range tape.until("ready", lastWritable) {
			if e.what == "writable" {
				assert.Equal(t, want, e.flag)
				want = !want
			}
		}
		assert.False(t, want, "the last one was ready")
		tape.socket.Abort()
		tape.ended()
	})
}

// lastWritable reports whether the last Writable said ready.
func lastWritable(events []event) (ready bool) {
	for _, e := range events {
		if e.what == "writable" {
			ready = e.flag
		}
	}
	return ready
}

func TestWritableComesAtTheWaterMarks(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := roomy()
		o.HighWater, o.LowWater = stallSize, stallSize/2
		p, tape := w.serve(script{writable: func(t *tape, ready bool) error {
			if ready {
				assert.LessOrEqual(w.t, t.socket.Info().QueuedBytes, stallSize/2)
			}
			return nil
		}}, o).connect()
		tape.stall()
		assert.False(t, tape.await("writable").flag)
		p.take(stallSize * 3 / 4)
		assert.True(t, tape.nth(2, "writable").flag)
	})
}

func TestInfoDescribesTheConnection(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, roomy()).connect()
		p.send("12345")
		tape.sees("12345")
		tape.stall()
		require.NoError(t, tape.say("x"))
		tape.socket.Do(&protocol.Pause{}, tape.done("paused"))
		tape.await("paused")
		w.settle() // the kernel is full: bytes that go out meanwhile count as queued for a moment
		info := tape.socket.Info()
		assert.Equal(t, protocol.StateOpen, info.State)
		assert.True(t, info.Paused)
		assert.Equal(t, 2, info.QueuedWrites)
		assert.Equal(t, uint64(5), info.Stats.Read)
		assert.Equal(t, uint64(stallSize+1), info.Stats.Written+uint64(info.QueuedBytes))
		assert.GreaterOrEqual(t, info.Stats.Duration, time.Duration(0))
		local := p.RemoteAddr().String()
		if w.network.proxied {
			local = "198.51.100.1:443" // as the header says: the client never connected to us
		}
		assert.Equal(t, local, info.LocalAddr)
	})
}

func TestACloseWhoseFlushMeetsAResetEndsWithItsError(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		w.needsReset()
		p, tape := w.serve(script{}, roomy()).connect()
		tape.stall()
		tape.socket.Do(&protocol.Close{}, tape.done("closing"))
		p.reset()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonLocalClosed, closed.Reason, "the first cause")
		assert.NotZero(t, closed.Stats.Unsent)
		require.Error(t, closed.Err)
		assert.ErrorIs(t, tape.await("stall").err, closed.Err)
		assert.ErrorIs(t, tape.await("closing").err, closed.Err)
	})
}

// The closeNotify of TLS consists of bytes, and there may be no room for them.
func TestACloseNotifyThatIsNotReadEndsAtTheCloseTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const buffer, record = 1000, 5 + 1 + 16 // a record is this much longer than its bytes
		s, connect := w.secured(script{}, buffer, connection.Options{CloseTimeout: time.Second})
		_, client := setup.TLS()
		c, err := connect()
		require.NoError(t, err)
		defer c.Close()
		secured := tls.Client(c, client)
		go func() { _, _ = secured.Read(make([]byte, 1)) }()
		tape := <-s.accepted
		require.NoError(t, tape.say("x")) // after it the client reads no more
		w.settle()
		require.NoError(t, tape.write("full", strings.Repeat("x", buffer-record)))
		require.NoError(t, tape.await("full").err)
		start := time.Now()
		require.NoError(t, secured.CloseWrite())
		closed := tape.ended()
		assert.LessOrEqual(t, time.Since(start), time.Second+time.Second/8)
		assert.Equal(t, protocol.ReasonPeerClosed, closed.Reason)
		_ = s.Close()
		assert.LessOrEqual(t, time.Since(start), time.Second+time.Second/8)
	})
}

package conformance

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// G17: a reset ends a connection within 1 s also while it is paused, throttled or has no demand; a
// FIN starts HalfCloseTimeout there. G2 holds there too: the peer's input from before is shown
// first.

// quiets are the ways for a connection to show its handler nothing.
var quiets = map[string]func(play *script, o *connection.Options){
	"paused": func(play *script, _ *connection.Options) {
		play.accepted = func(t *tape) error { t.socket.Pause(); return nil }
	},
	"without demand": func(_ *script, o *connection.Options) { o.ReadMode = connection.Pull },
}

// quiet starts a listener with connections that show their handlers nothing until they are told.
func (w *world) quiet(how string, play script, o connection.Options) *server {
	w.t.Helper()
	quiets[how](&play, &o)
	return w.serve(play, o)
}

func eachQuiet(t *testing.T, test func(t *testing.T, w *world, how string)) {
	for how := range quiets {
		t.Run(how, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) { test(t, w, how) })
		})
	}
}

func TestAResetEndsAConnectionThatShowsItsHandlerNothing(t *testing.T) {
	eachQuiet(t, func(t *testing.T, w *world, how string) {
		w.needsReset()
		p, tape := w.quiet(how, script{}, connection.Options{IdleTimeout: -1}).connect()
		w.settle()
		began := time.Now()
		p.reset()
		closed := tape.ended()
		after := time.Since(began)
		theirs(t, tape, "Closed", closed.Err)
		assert.Equal(t, protocol.ReasonPeerReset, closed.Reason)
		t.Logf("ended %v after the reset", after)
		if w.network.virtual() {
			assert.Less(t, after, time.Second)
		}
	})
}

func TestAResetIsNoticedBehindUnreadBytes(t *testing.T) {
	for name, size := range map[string]int{"a few": 100, "more than the read buffer holds": 30_000} {
		t.Run(name, func(t *testing.T) {
			eachQuiet(t, func(t *testing.T, w *world, how string) {
				w.needsReset()
				if size > 8<<10 && w.network.virtual() {
					t.Skip("nothing is known of such a connection until it is read")
				}
				told := w.announcements()
				p, tape := w.quiet(how, script{}, connection.Options{}).connect()
				p.send(pattern(size))
				w.settle()
				p.reset()
				assert.Equal(t, protocol.ReasonPeerReset, told.await(tape.socket.PID()).Reason)
				assert.Equal(t, protocol.ReasonPeerReset, tape.closing().Reason)
				assert.Equal(t, 0, tape.count("data"), "a pause is strict")
				assert.Error(t, tape.say("late"))
			})
		})
	}
}

func TestAFullReadBufferThatIsHeldHidesNoReset(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		w.needsReset()
		if w.network.virtual() {
			t.Skip("nothing is known of such a connection until it is read")
		}
		p, tape := w.serve(script{data: leave}, connection.Options{ReadBufferSize: 100, HoldFullReadBuffer: true, LingerTimeout: 50 * time.Millisecond}).connect()
		p.send(pattern(200))
		tape.until("a full buffer", func([]event) bool { return len(tape.seen()) == 100 })
		p.reset()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonPeerReset, closed.Reason)
		if !w.network.secured {
			assert.Equal(t, uint64(200), closed.Stats.Unread)
		}
	})
}

// Their handlers hold what they have, so that there is no memory to read the rest.
func TestAResetEndsConnectionsThatWaitForMemory(t *testing.T) {
	mostlyWaits(t)
	eachNetwork(t, func(t *testing.T, w *world) {
		w.needsReset()
		if w.network.virtual() {
			t.Skip("nothing is known of such a connection until it is read")
		}
		var mayGo atomic.Bool
		s := w.listen(hoarder(&mayGo, func() {}), budget(64<<10))
		var peers []*peer
		var tapes []*tape
		for range 20 {
			p, tape := s.connect()
			p.send(strings.Repeat("g", 8<<10))
			peers, tapes = append(peers, p), append(tapes, tape)
		}
		s.eventually("connections that wait", func(i protocol.ListenerInfo) bool { return i.Throttled > 0 })
		for _, p := range peers {
			p.reset()
		}
		for _, tape := range tapes {
			assert.Equal(t, protocol.ReasonPeerReset, tape.ended().Reason)
		}
		s.free()
	})
}

func TestAResetAfterItsFINIsNoticed(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		w.needsReset()
		if w.network.virtual() {
			t.Skip("nothing is known of such a connection until it writes")
		}
		p, tape := w.serve(script{}, connection.Options{KeepOpenOnPeerClosed: true, HalfCloseTimeout: -1}).connect()
		p.closeWrite()
		tape.await("peerclosed")
		p.reset()
		assert.Equal(t, protocol.ReasonPeerReset, tape.ended().Reason)
	})
}

func TestAFINStartsTheHalfCloseTimeoutAlsoWhereNothingIsShown(t *testing.T) {
	mostlyWaits(t)
	for name, size := range map[string]int{"alone": 0, "behind a few bytes": 100, "behind many": 30_000} {
		t.Run(name, func(t *testing.T) {
			eachQuiet(t, func(t *testing.T, w *world, how string) {
				if size > 8<<10 && (w.network.virtual() || w.network.secured) { // TLS's close_notify is no FIN
					t.Skip("nothing is known of such a connection until it is read")
				}
				const limit = 50 * time.Millisecond
				for _, keep := range []bool{false, true} {
					o := connection.Options{HalfCloseTimeout: limit, CloseTimeout: limit, LingerTimeout: brief, KeepOpenOnPeerClosed: keep}
					p, tape := w.quiet(how, script{}, o).connect()
					p.send(pattern(size))
					w.settle()
					began := time.Now()
					p.closeWrite()
					closed := tape.ended()
					assert.Equal(t, protocol.ReasonHalfCloseTimeout, closed.Reason)
					assert.GreaterOrEqual(t, time.Since(began), limit)
					assert.Equal(t, []string{"accepted", "closed"}, tape.kinds())
					if !w.network.secured {
						assert.Equal(t, uint64(size), closed.Stats.Unread)
					}
				}
			})
		})
	}
}

// demand lets the handler see everything from now on, in the mode at hand.
func (t *tape) demand(how string) {
	if how == "without demand" {
		t.socket.Do(&protocol.Resume{Credit: 1 << 20}, nil)
	} else {
		t.socket.Resume()
	}
}

func TestAFINAloneDoesNotEndAConnectionThatShowsItsHandlerNothing(t *testing.T) {
	eachQuiet(t, func(t *testing.T, w *world, how string) {
		p, tape := w.quiet(how, script{}, connection.Options{}).connect()
		p.send("a request")
		p.closeWrite()
		w.settle()
		require.NoError(t, tape.say("an answer that took its time"))
		p.expect("an answer that took its time")
		tape.demand(how)
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		assert.Equal(t, "a request", tape.seen())
	})
}

// met are the ways in which a connection may notice its peer's reset.
var met = map[string]func(w *world, p *peer, tape *tape){
	"by a write": func(_ *world, p *peer, tape *tape) {
		tape.stall()
		p.breakOff()
	},
	"without a write": func(w *world, p *peer, _ *tape) {
		w.needsReset()
		if w.network.virtual() {
			w.t.Skip("nothing is known of such a connection until it is read")
		}
		p.reset()
	},
}

func TestEverythingBeforeAResetIsShownAlsoToAHandlerThatComesLate(t *testing.T) {
	for name, meet := range met {
		t.Run(name, func(t *testing.T) {
			eachQuiet(t, func(t *testing.T, w *world, how string) {
				o := roomy()
				o.ReadBufferSize, o.LingerTimeout = 4<<10, time.Minute
				p, tape := w.quiet(how, script{}, o).connect()
				sent := pattern(30_000)
				p.send(sent)
				w.settle()
				meet(w, p, tape)
				tape.closing()
				w.settle()
				assert.Equal(t, 0, tape.count("closed"), "its input is in hand")
				tape.left(protocol.StateOpen)
				tape.demand(how)
				closed := tape.ended()
				assert.Equal(t, protocol.ReasonPeerReset, closed.Reason)
				same(t, sent, tape.seen())
				assert.Zero(t, closed.Stats.Unread)
				assert.Equal(t, uint64(len(sent)), closed.Stats.Read)
			})
		})
	}
}

func TestAPauseAmongTheLastWordsLosesNoneOfThem(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := roomy()
		o.ReadBufferSize, o.LingerTimeout = 4<<10, time.Minute
		s := w.serve(script{
			accepted: func(t *tape) error { t.socket.Pause(); return nil },
			data: func(t *tape, b *protocol.Buffer) error {
				b.Discard(b.Len())
				t.socket.Do(&protocol.Pause{}, t.done("paused"))
				return nil
			},
		}, o)
		p, tape := s.connect()
		sent := pattern(20_000)
		p.send(sent)
		w.settle()
		tape.stall()
		p.breakOff()
		tape.closing()
		for n := 1; tape.count("closed") == 0; n++ {
			tape.socket.Resume()
			tape.until("one more Data and its pause, or the end", func([]event) bool { return tape.count("paused") == n || tape.count("closed") > 0 })
			require.Less(t, n, 1000)
		}
		same(t, sent, tape.seen())
	})
}

func TestUnreadInputAfterResetEndsByLingerTimeout(t *testing.T) {
	mostlyWaits(t)
	for name, meet := range met {
		t.Run(name, func(t *testing.T) {
			eachQuiet(t, func(t *testing.T, w *world, how string) {
				const limit = 200 * time.Millisecond
				o := roomy()
				o.LingerTimeout = limit
				p, tape := w.quiet(how, script{}, o).connect()
				p.send(pattern(30_000))
				w.settle()
				began := time.Now()
				meet(w, p, tape)
				closed := tape.ended()
				assert.GreaterOrEqual(t, time.Since(began), limit)
				assert.Equal(t, protocol.ReasonPeerReset, closed.Reason)
				theirs(t, tape, "Closed", closed.Err)
				assert.Equal(t, 0, tape.count("data"))
				if !w.network.secured && !w.network.virtual() {
					assert.Equal(t, uint64(30_000), closed.Stats.Unread)
				}
			})
		})
	}
}

func TestAHandlerThatTakesItsTimeForTheLastWordsIsNotCutOff(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := roomy()
		o.ReadBufferSize, o.LingerTimeout = 1000, time.Second
		p, tape := w.serve(script{
			accepted: func(t *tape) error { t.socket.Pause(); return nil },
			data:     func(_ *tape, b *protocol.Buffer) error { time.Sleep(3 * time.Second); b.Discard(b.Len()); return nil },
		}, o).connect()
		sent := pattern(20_000)
		p.send(sent)
		tape.stall()
		p.reset()
		tape.closing()
		time.Sleep(900 * time.Millisecond)
		tape.socket.Resume()
		assert.Equal(t, protocol.ReasonPeerReset, tape.ended().Reason)
		same(t, sent, tape.seen())
	})
}

func TestACloseWhileTheLastWordsWaitEndsTheConnectionAtOnce(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := roomy()
		o.LingerTimeout = -1
		p, tape := w.quiet("paused", script{}, o).connect()
		p.send(pattern(20_000))
		w.settle()
		tape.stall()
		p.breakOff()
		tape.closing()
		_ = tape.socket.Close()
		assert.Equal(t, protocol.ReasonPeerReset, tape.ended().Reason)
	})
}

// A connection that is held reads no more ahead than fits its read buffer.
func TestAHeldConnectionReadsNoMoreThanItsReadBufferHolds(t *testing.T) {
	eachQuiet(t, func(t *testing.T, w *world, how string) {
		p, tape := w.quiet(how, script{}, connection.Options{}).connect()
		stuck := make(chan struct{})
		go func() {
			defer close(stuck)
			p.patiently()
			for range 200 { // more than the network holds, one by one
				if _, err := p.Write([]byte(strings.Repeat("x", 100))); err != nil {
					return
				}
			}
		}()
		w.settle()
		assert.LessOrEqual(t, tape.socket.Info().Stats.Read, uint64(8<<10))
		assert.Equal(t, 0, tape.count("data"))
		tape.demand(how)
		tape.sees(strings.Repeat("x", 20_000))
		<-stuck
	})
}

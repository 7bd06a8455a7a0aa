package reconnect

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/simnet"
)

// The server is down for three hours. The waits grow to their longest, and what was written
// meanwhile is sent once it is up.
func TestAClientWaitsForItsServer(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		c := w.client(Options{}, silent)
		defer end(c)
		_, err := c.Write([]byte("hello "))
		require.NoError(t, err)
		time.Sleep(3 * time.Hour)
		_, err = c.Write([]byte("again"))
		require.NoError(t, err)
		events := w.news()
		limit := 100 * time.Millisecond
		for i, e := range events {
			assert.Equal(t, i/2+1, e.Attempt)
			if i%2 == 0 {
				require.Equal(t, Connecting, e.State)
				continue
			}
			require.Equal(t, Disconnected, e.State)
			assert.ErrorIs(t, e.Err, syscall.ECONNREFUSED)
			assert.Equal(t, protocol.ReasonNone, e.Reason)
			assert.GreaterOrEqual(t, e.Wait, min(limit, 15*time.Second))
			limit = min(2*limit, 30*time.Second)
			assert.LessOrEqual(t, e.Wait, limit)
		}
		assert.Greater(t, len(events), 2*3*3600/30, "at least one attempt in 30 s")
		assert.Less(t, len(events), 2*3*3600/15+20)

		server := w.up()
		peer := accept(t, server)
		assert.Equal(t, "hello again", reads(t, peer, 11))
		require.NoError(t, c.Flush(t.Context()))
		synctest.Wait()
		assert.Equal(t, Connected, c.State())
		assert.NotNil(t, c.Socket())
		info := c.Info()
		assert.EqualValues(t, 2, info.Written)
		assert.EqualValues(t, 1, info.Connections)
		go ends(t, peer)
		end(c)
		assert.Equal(t, Closed, c.State())
		assert.Nil(t, c.Socket())
		assert.ErrorIs(t, c.Err(), ErrClosed)
		assert.ErrorIs(t, c.Err(), net.ErrClosed)
	})
}

// A server that accepts and closes at once is not dialled without a pause; a connection that lived
// long enough begins the waits anew.
func TestOnlyAConnectionThatLivedResetsTheWait(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		server := w.up()
		c := w.client(Options{}, silent)
		defer end(c)
		limit := 200 * time.Millisecond
		for i := range 6 {
			peer := accept(t, server)
			_ = peer.Close()
			synctest.Wait()
			events := w.news()
			last := events[len(events)-1]
			if last.State != Disconnected {
				b := make([]byte, 1<<20)
				t.Logf("%v\n%s", events, b[:runtime.Stack(b, true)])
			}
			require.Equal(t, Disconnected, last.State)
			assert.Equal(t, protocol.ReasonPeerClosed, last.Reason, "%v %d", last.Err, i)
			assert.Equal(t, i+1, last.Attempt)
			assert.GreaterOrEqual(t, last.Wait, limit/2)
			assert.LessOrEqual(t, last.Wait, limit)
			limit *= 2
		}
		peer := accept(t, server)
		time.Sleep(10 * time.Second)
		_ = peer.Reset()
		synctest.Wait()
		events := w.news()
		last := events[len(events)-1]
		assert.Equal(t, protocol.ReasonPeerReset, last.Reason)
		assert.True(t, isReset(last.Err), "%v", last.Err)
		assert.LessOrEqual(t, last.Wait, 200*time.Millisecond)
		peer = accept(t, server)
		synctest.Wait()
		assert.Equal(t, 1, w.news()[0].Attempt)
		go ends(t, peer)
	})
}

// The kernel takes four bytes in all. The connection ends with a write half out: that one may have
// been sent, those behind it were not, and wait for the next connection in their order.
func TestEachWriteLearnsWhatIsKnownOfIt(t *testing.T) {
	inWorld(t, simnet.Options{BufferSize: 4}, func(t *testing.T, w *world) {
		server := w.up()
		r := newResults(t)
		c := w.client(Options{}, silent)
		defer end(c)
		peer := accept(t, server)
		synctest.Wait()
		require.NoError(t, r.send(c, "aaa", false))
		synctest.Wait()
		require.NoError(t, r.send(c, "bbb", false)) // its first byte goes out
		require.NoError(t, r.send(c, "ccc", false))
		require.NoError(t, r.send(c, "ddd", false))
		synctest.Wait()
		outcome, told := r.of("aaa")
		assert.True(t, told)
		assert.Equal(t, Written, outcome)
		assert.Len(t, r.got, 1)
		assert.Equal(t, Info{State: Connected, Attempts: 1, Connections: 1, Given: 3, Bytes: 9, Written: 1}, c.Info())

		_ = peer.Reset()
		synctest.Wait()
		outcome, told = r.of("bbb")
		assert.True(t, told)
		assert.Equal(t, MaybeSent, outcome)
		assert.True(t, isReset(r.got["bbb"].err), "%v", r.got["bbb"].err)
		assert.Len(t, r.got, 2)
		events := w.news()
		assert.Equal(t, 1, events[len(events)-1].MaybeSent)
		assert.Equal(t, 2, c.Info().Waiting)

		peer = accept(t, server)
		assert.Equal(t, "cccddd", reads(t, peer, 6))
		require.NoError(t, c.Flush(t.Context()))
		outcome, _ = r.of("ddd")
		assert.Equal(t, Written, outcome)
		go ends(t, peer)
	})
}

// What the handler writes counts too, and comes before the client's writes.
func TestTheHandlersWritesComeFirst(t *testing.T) {
	inWorld(t, simnet.Options{BufferSize: 7}, func(t *testing.T, w *world) {
		r := newResults(t)
		c := w.client(Options{}, tcpactor.Functions[int]{
			Accept: func(s protocol.Socket) (int, error) {
				_, err := s.Write([]byte("login "))
				return 0, err
			},
			Read: func(n int, _ protocol.Socket, _ *protocol.Buffer) (int, error) { return n, nil },
		})
		defer end(c)
		require.NoError(t, r.send(c, "aaa", false))
		require.NoError(t, r.send(c, "bbb", false))
		server := w.up()
		peer := accept(t, server)
		synctest.Wait()
		assert.Empty(t, r.got)
		_ = peer.Reset() // one byte of aaa was out
		synctest.Wait()
		outcome, told := r.of("aaa")
		assert.True(t, told)
		assert.Equal(t, MaybeSent, outcome)
		// The account does not know where the handler's bytes stand: bbb begins at 3 in it, before
		// the 7 that were sent. So it may have been sent, for all that is known.
		outcome, told = r.of("bbb")
		assert.True(t, told)
		assert.Equal(t, MaybeSent, outcome)
		peer = accept(t, server)
		assert.Equal(t, "login ", reads(t, peer, 6))
		go ends(t, peer)
	})
}

func TestOnlyAnIdempotentWriteIsSentTwice(t *testing.T) {
	inWorld(t, simnet.Options{BufferSize: 4}, func(t *testing.T, w *world) {
		server := w.up()
		// Longer than what fits twice: the reset comes before its end, even if the room that the
		// read makes is used first.
		const long = "abcdefghijkl"
		r := newResults(t)
		c := w.client(Options{}, silent)
		peer := accept(t, server)
		synctest.Wait()
		require.NoError(t, r.send(c, long, true))
		require.NoError(t, r.send(c, "xyz", false))
		synctest.Wait()
		assert.Equal(t, "abcd", reads(t, peer, 4))
		_ = peer.Reset()
		peer = accept(t, server)
		synctest.Wait()
		assert.EqualValues(t, 1, c.Info().Resent)
		assert.Equal(t, "a", reads(t, peer, 1), "from its beginning")
		w.down()
		_ = peer.Reset()
		synctest.Wait()
		assert.Empty(t, r.got)
		end(c)
		outcome, _ := r.of(long)
		assert.Equal(t, MaybeSent, outcome, "a connection before has sent a part of it")
		assert.ErrorIs(t, r.got[long].err, ErrClosed)
		outcome, _ = r.of("xyz")
		assert.Equal(t, NeverSent, outcome)
	})
}

func TestTheOutboxIsBounded(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		r := newResults(t)
		c := w.client(Options{MaxWrites: 3, MaxBytes: 10}, silent)
		require.NoError(t, r.send(c, "aaa", false))
		require.NoError(t, r.send(c, "bbbb", false))
		err := r.send(c, "cccc", false)
		assert.ErrorIs(t, err, ErrOutboxFull)
		assert.EqualError(t, err, "reconnect: outbox full: 7 bytes have no outcome, and 4 more exceed 10")
		require.NoError(t, r.send(c, "c", false))
		err = r.send(c, "d", false)
		assert.ErrorIs(t, err, ErrOutboxFull)
		assert.EqualError(t, err, "reconnect: outbox full: 3 writes have no outcome")
		err = r.send(c, "longer than it is", false)
		assert.NotErrorIs(t, err, ErrOutboxFull)
		assert.EqualError(t, err, "reconnect: a write of 17 bytes is larger than the outbox, MaxBytes is 10")
		n, err := c.Write([]byte("x"))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, ErrOutboxFull)

		server := w.up()
		peer := accept(t, server)
		assert.Equal(t, "aaabbbbc", reads(t, peer, 8))
		require.NoError(t, c.Flush(t.Context()))
		require.NoError(t, r.send(c, "room", false))
		assert.Equal(t, "room", reads(t, peer, 4))
		go ends(t, peer)
		end(c)
		assert.Len(t, r.got, 4)
		assert.ErrorIs(t, r.send(c, "late", false), ErrClosed)
	})
}

// The connection has room for less than the outbox. Everything comes, in order.
func TestWritesWaitForRoomInTheConnection(t *testing.T) {
	inWorld(t, simnet.Options{BufferSize: 100}, func(t *testing.T, w *world) {
		server := w.up()
		o := Options{Dial: listener.DialOptions{Connection: &connection.Options{WriteQueueSize: 3, WriteBufferSize: 50}}}
		c := w.client(o, silent)
		r := newResults(t)
		peer := accept(t, server)
		var want strings.Builder
		for i := range 500 {
			text := strings.Repeat(string(rune('a'+i%26)), 1+i%20)
			want.WriteString(text)
			_, err := c.Write([]byte(text))
			require.NoError(t, err)
		}
		require.NoError(t, r.send(c, strings.Repeat("x", 51), false))
		require.NoError(t, r.send(c, "last", false))
		want.WriteString("last")
		assert.Equal(t, want.String(), reads(t, peer, want.Len()))
		require.NoError(t, c.Flush(t.Context()))
		outcome, _ := r.of(strings.Repeat("x", 51))
		assert.Equal(t, NeverSent, outcome)
		assert.ErrorIs(t, r.got[strings.Repeat("x", 51)].err, protocol.ErrWriteTooLarge)
		assert.EqualValues(t, 501, c.Info().Written)
		go ends(t, peer)
		end(c)
	})
}

// The handler's own writes leave no room for the client's; these go on once there is some.
func TestWritesWaitForRoomThatTheHandlerTook(t *testing.T) {
	inWorld(t, simnet.Options{BufferSize: 10}, func(t *testing.T, w *world) {
		server := w.up()
		o := Options{Dial: listener.DialOptions{Connection: &connection.Options{WriteQueueSize: 1}}}
		c := w.client(o, tcpactor.Functions[int]{
			Accept: func(s protocol.Socket) (int, error) {
				_, err := s.Write([]byte(strings.Repeat("l", 30)))
				return 0, err
			},
			Read: func(int, protocol.Socket, *protocol.Buffer) (int, error) { return 0, nil },
		})
		defer end(c)
		peer := accept(t, server)
		synctest.Wait()
		_, err := c.Write([]byte("x"))
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, 1, c.Info().Waiting)
		assert.Equal(t, strings.Repeat("l", 30)+"x", reads(t, peer, 31))
		go ends(t, peer)
	})
}

func TestTheEndGivesEveryWriteItsOutcome(t *testing.T) {
	inWorld(t, simnet.Options{BufferSize: 4}, func(t *testing.T, w *world) {
		server := w.up()
		r := newResults(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		c, err := New(ctx, w.dialer, "sim", silent, Options{
			Connect: w.connect,
			Dial:    listener.DialOptions{Connection: &connection.Options{WriteQueueSize: 2, CloseTimeout: time.Second}},
		})
		require.NoError(t, err)
		peer := accept(t, server)
		synctest.Wait()
		for _, name := range []string{"aaa", "bbb", "ccc", "ddd", "eee"} {
			require.NoError(t, r.send(c, name, false))
		}
		cancel(errOops)
		<-c.Done()
		assert.ErrorIs(t, c.Err(), errOops)
		assert.ErrorIs(t, r.send(c, "late", false), errOops)
		for name, want := range map[string]Outcome{"aaa": Written, "bbb": MaybeSent, "ccc": NeverSent, "ddd": NeverSent, "eee": NeverSent} {
			outcome, told := r.of(name)
			assert.True(t, told, name)
			assert.Equal(t, want, outcome, name)
		}
		assert.ErrorIs(t, r.got["eee"].err, errOops)
		_ = peer.Close()
	})
}

func TestAClientGivesUp(t *testing.T) {
	for name, one := range map[string]struct {
		options Options
		begin   func(w *world)
		why     string
		states  []State
	}{
		"attempts": {
			options: Options{MaxAttempts: 3}, why: "reconnect: 3 attempts in a row have failed, the last: connection refused",
			states: []State{Connecting, Disconnected, Connecting, Disconnected, Connecting, GaveUp},
		},
		"retry": {
			options: Options{Retry: func(err error) bool { return !errors.Is(err, syscall.ECONNREFUSED) }}, why: "connection refused",
			states: []State{Connecting, GaveUp},
		},
		"retry panics": {
			options: Options{Retry: func(error) bool { panic(errOops) }}, why: "berth: handler panicked: oops",
			states: []State{Connecting, GaveUp},
		},
		"notify panics": {
			options: Options{Notify: func(e Event) {
				if e.State == Disconnected {
					panic(errOops)
				}
			}}, why: "berth: handler panicked: oops", states: []State{Connecting, Disconnected, GaveUp},
		},
		"notify ends its goroutine": {
			options: Options{Notify: func(e Event) {
				if e.State == Connecting {
					runtime.Goexit()
				}
			}}, why: "berth: handler called runtime.Goexit", states: []State{Connecting, GaveUp},
		},
		"dialer": {
			begin: func(w *world) { w.up(); _ = w.dialer.Close() }, why: "berth: the listener has ended", states: []State{Connecting, GaveUp},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
				if one.begin != nil {
					one.begin(w)
				}
				c := w.client(one.options, silent)
				r := newResults(t)
				sent := r.send(c, "hello", false)
				<-c.Done()
				assert.Equal(t, one.states, w.states())
				assert.EqualError(t, c.Err(), one.why)
				assert.Equal(t, GaveUp, c.State())
				if sent == nil {
					outcome, told := r.of("hello")
					assert.True(t, told)
					assert.Equal(t, NeverSent, outcome)
				}
				assert.EqualError(t, r.send(c, "late", false), one.why)
			})
		})
	}
}

// A Done that panics on the client's goroutine ends the client; the others are told all the same.
func TestADoneThatPanicsIsAFailureOfTheClient(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		c := w.client(Options{}, silent)
		r := newResults(t)
		require.NoError(t, r.send(c, "a", false))
		for _, failure := range []func(){func() { panic(errOops) }, runtime.Goexit} {
			require.NoError(t, c.Send(Write{Data: []byte("x"), Done: func(Outcome, error) { failure() }}))
		}
		require.NoError(t, r.send(c, "b", false))
		end(c)
		assert.Len(t, r.got, 2)
	})
}

// Every failure of the handler ends its connection, and the client connects again.
func TestAHandlerThatFailsIsConnectedAgain(t *testing.T) {
	failures := map[string]func(){"panics": func() { panic(errOops) }, "ends its goroutine": runtime.Goexit}
	for how, fail := range failures {
		for name, factory := range map[string]func(fails func() bool) tcpactor.Factory{
			"open": func(fails func() bool) tcpactor.Factory {
				return tcpactor.Handlers(func() tcpactor.Handler {
					if fails() {
						fail()
					}
					return silent
				})
			},
			"accepted": func(fails func() bool) tcpactor.Factory {
				return tcpactor.Functions[int]{
					Accept: func(protocol.Socket) (int, error) {
						if fails() {
							fail()
						}
						return 0, nil
					},
					Read: func(int, protocol.Socket, *protocol.Buffer) (int, error) { return 0, nil },
				}
			},
			"closed": func(fails func() bool) tcpactor.Factory {
				return tcpactor.Functions[int]{
					Accept: func(s protocol.Socket) (int, error) {
						if fails() {
							return 0, errOops
						}
						return 0, nil
					},
					Read:  func(int, protocol.Socket, *protocol.Buffer) (int, error) { return 0, nil },
					Close: func(int, *protocol.Closed) { fail() },
				}
			},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
					server := w.up()
					failed := false
					c := w.client(Options{}, factory(func() bool {
						first := !failed
						failed = true
						return first
					}))
					defer end(c)
					_, err := c.Write([]byte("hello"))
					require.NoError(t, err)
					_ = accept(t, server).Close()
					peer := accept(t, server)
					assert.Equal(t, "hello", reads(t, peer, 5))
					go ends(t, peer)
				})
			})
		}
	}
}

// A handler that is replaced within its connection changes nothing for the client.
func TestAReplacedHandlerKeepsTheConnection(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		server := w.up()
		o := Options{Dial: listener.DialOptions{Connection: &connection.Options{RestartHandler: connection.RestartHandler{Max: 1, Within: time.Minute}}}}
		c := w.client(o, tcpactor.HandlerFunc(func(_ protocol.Socket, b *protocol.Buffer) error {
			b.Discard(b.Len())
			panic(errOops)
		}))
		defer end(c)
		peer := accept(t, server)
		_, err := peer.Write([]byte("x"))
		require.NoError(t, err)
		synctest.Wait()
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		assert.Equal(t, "hello", reads(t, peer, 5))
		assert.EqualValues(t, 1, c.Info().Connections)
		assert.Equal(t, 1, c.Socket().Restarts())
		go ends(t, peer)
	})
}

// A server that takes connections and says nothing of TLS, or a network that answers no dial, ends
// an attempt by its time.
func TestAnAttemptIsBounded(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		server := w.up()
		server.Partition()
		c := w.client(Options{ConnectTimeout: 3 * time.Second}, silent)
		began := time.Now()
		for {
			synctest.Wait()
			if events := w.news(); len(events) > 0 && events[len(events)-1].State == Disconnected {
				assert.ErrorIs(t, events[len(events)-1].Err, context.DeadlineExceeded)
				assert.Equal(t, 3*time.Second, time.Since(began))
				break
			}
			time.Sleep(time.Second)
		}
		end(c)
	})
}

func TestAConnectThatFailsIsAFailedAttempt(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		var calls int
		c, err := New(t.Context(), w.dialer, "sim", silent, Options{MaxAttempts: 3, Connect: func(context.Context) (net.Conn, error) {
			calls++
			switch calls {
			case 1:
				panic(errOops)
			case 2:
				runtime.Goexit()
			}
			return nil, nil //nolint:nilnil // what it must not do
		}})
		require.NoError(t, err)
		<-c.Done()
		assert.Equal(t, 3, calls)
		assert.ErrorContains(t, c.Err(), "Connect returned neither a connection nor an error")
	})
}

// An actor is told of the states by message, and writes from its own turn.
func TestAnActorFollowsAClient(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		server := w.up()
		events := make(chan *Event, 10)
		pid := w.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			if e, is := ctx.Message().(*Event); is {
				if e.State == Connected {
					_, err := e.Client.Write([]byte("hello"))
					assert.NoError(t, err)
				}
				events <- e
			}
		}))
		c := w.client(Options{Notify: Tell(w.system.Root, pid)}, silent)
		peer := accept(t, server)
		assert.Equal(t, Connecting, (<-events).State)
		connected := <-events
		assert.Equal(t, Connected, connected.State)
		assert.Equal(t, c, connected.Client)
		assert.NotNil(t, connected.Socket.PID())
		assert.Equal(t, "hello", reads(t, peer, 5))
		go ends(t, peer)
		end(c)
		closed := <-events
		assert.Equal(t, Closed, closed.State)
		assert.ErrorIs(t, closed.Err, ErrClosed)
		require.NoError(t, w.system.Root.StopFuture(pid).Wait())
	})
}

func TestBadOptionsAreOneSentence(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		for want, o := range map[string]Options{
			"reconnect: ConnectTimeout -1ns must not be negative":            {ConnectTimeout: -1},
			"reconnect: MinBackoff -1ns must not be negative":                {MinBackoff: -1},
			"reconnect: MaxBackoff -1ns must not be negative":                {MaxBackoff: -1},
			"reconnect: StableAfter -1ns must not be negative":               {StableAfter: -1},
			"reconnect: MaxAttempts -1 must not be negative":                 {MaxAttempts: -1},
			"reconnect: MaxWrites -1 must not be negative":                   {MaxWrites: -1},
			"reconnect: MaxBytes -1 must not be negative":                    {MaxBytes: -1},
			"reconnect: MaxBackoff 1ns must not be less than MinBackoff 2ns": {MinBackoff: 2, MaxBackoff: 1},
			`berth: Network "udp" is none of tcp, tcp4, tcp6, unix`:          {Dial: listener.DialOptions{Network: "udp"}},
		} {
			_, err := New(t.Context(), w.dialer, "x:1", silent, o)
			assert.EqualError(t, err, want)
		}
		for _, none := range []Dialer{nil, (*listener.Dialer)(nil)} {
			_, err := New(t.Context(), none, "x:1", silent, Options{})
			assert.EqualError(t, err, "reconnect: no dialer")
		}
		var without context.Context
		_, err := New(without, w.dialer, "x:1", silent, Options{})
		assert.EqualError(t, err, "reconnect: no context: it is nil")
		_, err = New(t.Context(), w.dialer, "x:1", nil, Options{})
		assert.ErrorContains(t, err, "no handler")
		short := Options{MaxBackoff: time.Millisecond}.withDefaults()
		assert.Equal(t, time.Millisecond, short.MinBackoff)
		long := Options{MinBackoff: time.Hour}.withDefaults()
		assert.Equal(t, time.Hour, long.MaxBackoff)
	})
}

func TestTheNamesOfStatesAndOutcomes(t *testing.T) {
	assert.Equal(t, "gave up", GaveUp.String())
	assert.Equal(t, "unknown", State(99).String())
	assert.Equal(t, "maybe sent", MaybeSent.String())
	assert.Equal(t, "unknown", Outcome(99).String())
}

// A Become gives a client's connection another handler. The client stays: it writes, has the room
// that comes, and dials again after the end.
func TestABecomeKeepsTheClient(t *testing.T) {
	inWorld(t, simnet.Options{BufferSize: 4}, func(t *testing.T, w *world) {
		server := w.up()
		r := newResults(t)
		c := w.client(Options{}, silent)
		defer end(c)
		peer := accept(t, server)
		synctest.Wait()
		var closed []string
		handler := func(name string) tcpactor.Factory {
			return tcpactor.Functions[int]{
				Accept: func(protocol.Socket) (int, error) { return 0, nil },
				Read:   func(n int, _ protocol.Socket, b *protocol.Buffer) (int, error) { return n + b.Discard(b.Len()), nil },
				Close:  func(int, *protocol.Closed) { closed = append(closed, name) },
			}
		}
		require.NoError(t, c.Socket().Become(handler("one")))
		require.NoError(t, c.Socket().Become(handler("two")))
		require.NoError(t, r.send(c, "abcdef", false))
		require.NoError(t, r.send(c, "ghi", false))
		synctest.Wait()
		assert.Equal(t, "abcdef", reads(t, peer, 6))
		synctest.Wait()
		_ = peer.Reset()
		synctest.Wait()
		assert.Equal(t, []string{"two"}, closed)
		assert.Contains(t, w.states(), Disconnected)
		peer = accept(t, server)
		require.NoError(t, r.send(c, "jkl", false))
		assert.Equal(t, "jkl", reads(t, peer, 3))
		synctest.Wait()
		assert.Len(t, r.got, 3)
		go ends(t, peer)
	})
}

// The factory of a Become panics, or ends its goroutine: the connection ends, and the client learns
// what of its writes was sent.
func TestABecomeThatFailsEndsOnlyTheConnection(t *testing.T) {
	for how, fail := range map[string]func(){"panic": func() { panic(errOops) }, "Goexit": runtime.Goexit} {
		t.Run(how, func(t *testing.T) {
			inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
				server := w.up()
				r := newResults(t)
				c := w.client(Options{}, silent)
				defer end(c)
				peer := accept(t, server)
				require.NoError(t, r.send(c, "abc", false))
				assert.Equal(t, "abc", reads(t, peer, 3))
				synctest.Wait()
				require.NoError(t, c.Socket().Become(failing(fail)))
				_, _ = io.Copy(io.Discard, peer)
				_ = peer.Close()
				peer = accept(t, server)
				outcome, _ := r.of("abc")
				assert.Equal(t, Written, outcome)
				require.NoError(t, r.send(c, "def", false))
				assert.Equal(t, "def", reads(t, peer, 3))
				go ends(t, peer)
			})
		})
	}
}

// failing is a factory whose Open fails.
type failing func()

func (f failing) Open() tcpactor.Receiver {
	f()
	return nil
}

package conformance

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/simnet"
)

// A connection is idle while the server waits for its peer, and only then (G16).

// idleLimit is short for a machine's own clock. No test needs the machine to be quicker than that.
const idleLimit = 100 * time.Millisecond

// outlast returns when the IdleTimeout of every connection of s, counted from the call, has passed:
// connections without a byte have ended.
func (s *server) outlast() {
	s.w.t.Helper()
	for range 2 { // the first one's time may have begun before the call
		p, silent := s.connect()
		p.rest()
		p.close()
		assert.Equal(s.w.t, protocol.ReasonIdleTimeout, silent.ended().Reason)
	}
}

// answering are the ways in which a handler may take long for an answer. begin is called in the
// handler, finish outside of it once the IdleTimeout has passed.
var answering = map[string]struct {
	mode   connection.Mode
	begin  func(t *tape, late <-chan struct{}) error
	finish func(w *world, t *tape)
}{
	"the handler runs": {
		begin:  func(t *tape, late <-chan struct{}) error { <-late; return t.say("answer") },
		finish: func(*world, *tape) {},
	},
	"the handler has paused": {
		begin:  func(t *tape, _ <-chan struct{}) error { t.socket.Pause(); return nil },
		finish: func(_ *world, t *tape) { _ = t.say("answer"); t.socket.Resume() },
	},
	"the handler has paused, and another actor answers": {
		begin: func(t *tape, _ <-chan struct{}) error { t.socket.Pause(); return nil },
		finish: func(w *world, t *tape) {
			t.book(len("answer"))
			w.system.Root.Send(t.socket.PID(), &protocol.Write{Data: []byte("answer")})
			w.system.Root.Send(t.socket.PID(), &protocol.Resume{})
		},
	},
	"the handler has not asked for more": {
		mode:   connection.Pull,
		begin:  func(*tape, <-chan struct{}) error { return nil },
		finish: func(_ *world, t *tape) { _ = t.say("answer"); t.socket.Resume() },
	},
}

func TestAConnectionWhoseAnswerIsAwaitedIsNotIdle(t *testing.T) {
	mostlyWaits(t)
	for name, way := range answering {
		t.Run(name, func(t *testing.T) {
			test := func(t *testing.T, w *world, factory factoryOf) {
				late := make(chan struct{})
				play := script{
					accepted: func(t *tape) error { t.socket.Resume(); return nil },
					data: func(t *tape, b *protocol.Buffer) error {
						if b.Next(1)[0] == '?' {
							return way.begin(t, late)
						}
						b.Discard(b.Len())
						t.socket.Resume()
						return t.say(", and one more")
					},
				}
				s := w.open(factory, play, only(connection.Options{IdleTimeout: idleLimit, ReadMode: way.mode}))
				p := s.client()
				p.send("?") // at once: it is not idle before
				tape := s.next()
				tape.await("data")
				p.send("another request")
				s.outlast()
				close(late)
				way.finish(w, tape)
				p.expect("answer, and one more")
				p.close()
				assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
			}
			eachNetwork(t, func(t *testing.T, w *world) { test(t, w, handlersForm) })
			for name, factory := range factories {
				t.Run(name, func(t *testing.T) {
					inBubble(t, func(t *testing.T, w *world) { test(t, w, factory) })
				})
			}
		})
	}
}

// The whole time counts again from the moment at which the server waits for the peer again.
func TestAfterItsAnswerAConnectionHasItsWholeTimeAgain(t *testing.T) {
	for name, way := range answering {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				const limit = time.Minute
				late := make(chan struct{})
				play := script{
					accepted: func(t *tape) error { t.socket.Resume(); return nil },
					data: func(t *tape, b *protocol.Buffer) error {
						b.Discard(b.Len())
						return way.begin(t, late)
					},
				}
				p, tape := w.serve(play, connection.Options{IdleTimeout: limit, ReadMode: way.mode}).connect()
				p.send("?")
				time.Sleep(time.Hour)
				close(late)
				way.finish(w, tape)
				p.expect("answer")
				start := time.Now()
				p.rest()
				within(t, limit, time.Since(start))
				p.close()
				assert.Equal(t, protocol.ReasonIdleTimeout, tape.ended().Reason)
			})
		})
	}
}

// Input without an answer does not keep a connection, unless the handler waits for an answer: a
// handler need not answer the bytes that it was shown.
func TestAClientWithoutAnAnswerIsIdle(t *testing.T) {
	for name, factory := range factories {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				p, tape := w.open(factory, script{}, only(connection.Options{IdleTimeout: time.Minute})).connect()
				p.send("?")
				start := time.Now()
				p.rest()
				within(t, time.Minute, time.Since(start))
				p.close()
				assert.Equal(t, protocol.ReasonIdleTimeout, tape.ended().Reason)
			})
		})
	}
}

// Messages are no traffic, however long the handler takes for each. Only the time that the handler
// takes does not count.
func TestMessagesThatKeepAHandlerBusyPutTheIdleTimeoutOffByAsMuch(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const limit = 5 * time.Minute
		play := script{message: func(*tape, actor.Context, any) error { time.Sleep(10 * time.Second); return nil }}
		p, tape := w.serve(play, connection.Options{IdleTimeout: limit}).connect()
		start := time.Now()
		for tape.socket.Info().State == protocol.StateOpen {
			w.system.Root.Send(tape.socket.PID(), "tick")
			time.Sleep(20 * time.Second)
		}
		assert.InDelta(t, 2*limit, time.Since(start), float64(limit/4), "half of the time it was at work")
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonIdleTimeout, tape.ended().Reason)
	})
}

// Progress means bytes that the kernel took, not a call that returned. These peers take one byte of
// a much larger write shortly before each limit.
func TestAPeerThatTakesOneByteWithinEveryLimitIsNeverEnded(t *testing.T) {
	const limit, buffer = 30 * time.Second, 1000
	o := connection.Options{WriteTimeout: limit, IdleTimeout: limit, WriteBufferSize: 2 * stallSize}
	for name, connect := range map[string]func(w *world) (*tape, net.Conn){
		"plain": func(w *world) (*tape, net.Conn) {
			sim := simnet.Listen(simnet.Options{BufferSize: buffer})
			s := w.serveOn(sim, func() (net.Conn, error) { return sim.Dial(context.Background()) }, script{}, only(o))
			p, tape := s.connect()
			return tape, p.Conn
		},
		"TLS": func(w *world) (*tape, net.Conn) {
			s, dial := w.secured(script{}, buffer, o)
			_, config := setup.TLS()
			c, err := dial()
			require.NoError(w.t, err)
			w.clients = append(w.clients, c)
			require.NoError(w.t, tls.Client(c, config).Handshake())
			return s.next(), c
		},
	} {
		for kind, write := range map[string]func(w *world, tape *tape){
			"a slice": func(_ *world, tape *tape) { tape.stall() },
			"a file": func(w *world, tape *tape) {
				err := tape.socket.WriteFile(w.file(pattern(stallSize)), 0, stallSize, tape.done("stall"))
				tape.owe("stall", stallSize, err)
				require.NoError(w.t, err)
			},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				inBubble(t, func(t *testing.T, w *world) {
					tape, peer := connect(w)
					write(w, tape)
					for range 100 {
						time.Sleep(limit - time.Second)
						_, err := io.ReadFull(peer, make([]byte, 1))
						require.NoError(t, err)
					}
					assert.Equal(t, protocol.StateOpen, tape.socket.Info().State)
					tape.ended() // it has stopped
					assert.Contains(t, []protocol.Reason{protocol.ReasonWriteTimeout, protocol.ReasonIdleTimeout}, tape.closed.Reason)
				})
			})
		}
	}
}

package conformance

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
)

// StartTLS on every network without TLS of its own. The connection is TLS's server, on the dialled
// network its client; the test's side is crypto/tls's own Conn.

// eachPlain is eachNetwork without the networks that have TLS.
func eachPlain(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	for _, n := range networks {
		if !n.secured {
			n.each(t, test)
		}
	}
}

// eachPlainForm is eachPlain for each form of a handler.
func eachPlainForm(t *testing.T, test func(t *testing.T, w *world, factory factoryOf)) {
	t.Helper()
	for name, factory := range factories {
		t.Run(name, func(t *testing.T) {
			eachPlain(t, func(t *testing.T, w *world) { test(t, w, factory) })
		})
	}
}

// ownTLS returns the configuration of the connection's side.
func (w *world) ownTLS() *tls.Config {
	server, client := setup.TLS()
	if w.network.dialled {
		return client
	}
	return server
}

// over returns TLS over the test's end, before its handshake.
func (p *peer) over() *tls.Conn {
	server, client := setup.TLS()
	if p.w.network.dialled {
		return tls.Server(p.Conn, server)
	}
	return tls.Client(p.Conn, client)
}

// secure shakes hands. The peer has TLS from then on.
func (p *peer) secure() {
	p.w.t.Helper()
	p.patiently()
	secured := p.over()
	require.NoError(p.w.t, secured.Handshake())
	p.Conn = secured
}

// leave closes the peer, whose close_notify may find the other side closed.
func (p *peer) leave() { _ = p.Conn.Close() }

// switches is a script of handlers that answer STARTTLS in plain text, switch, and echo. then, if
// not nil, is called after StartTLS, in the same call.
func switches(w *world, then func(t *tape) error) script {
	return script{data: func(t *tape, b *protocol.Buffer) error {
		i := b.Index([]byte("STARTTLS\n"))
		if i < 0 {
			return echo(t, b)
		}
		b.Discard(i + len("STARTTLS\n"))
		if err := t.say("go on\n"); err != nil {
			return err
		}
		if err := t.socket.StartTLS(w.ownTLS()); err != nil {
			return err
		}
		if then == nil {
			return nil
		}
		return then(t)
	}}
}

// begins has the peer ask for TLS and get the answer.
func (p *peer) begins() {
	p.w.t.Helper()
	p.send("STARTTLS\n")
	p.expect("go on\n")
}

func TestWritesBeforeStartTLSGoOutPlainAndThoseAfterItEncrypted(t *testing.T) {
	eachPlainForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, switches(w, func(t *tape) error {
			if state := t.socket.TLS(); state != nil {
				t.disturb("TLS before the handshake")
			}
			return t.write("secret", "secret ")
		}), only(connection.Options{}))
		p, tape := s.connect()
		p.send("plain ")
		p.expect("plain ")
		p.begins()
		p.secure()
		p.expect("secret ")
		assert.NoError(t, tape.await("secret").err)
		p.send("also secret")
		p.expect("also secret")
		state := tape.socket.TLS()
		if assert.NotNil(t, state) {
			assert.True(t, state.HandshakeComplete)
			assert.Equal(t, setup.Name, state.ServerName)
		}
		tape.sees("plain STARTTLS\nalso secret")
		p.leave()
		tape.ended()
	})
}

func TestTheHandlerIsToldOfTLSBeforeTheFirstDataOverIt(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		for _, factory := range []factoryOf{handlersForm, actorsForm} {
			play := switches(w, nil)
			play.tlsStarted = func(t *tape) error {
				if t.socket.TLS() == nil {
					t.disturb("no TLS in TLSStarted")
				}
				return t.say("hello ")
			}
			p, tape := w.open(factory, play, only(connection.Options{})).connect()
			p.begins()
			p.secure()
			p.send("x")
			p.expect("hello x")
			p.leave()
			assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
			assert.Equal(t, []string{"accepted", "data", "tlsstarted", "data", "closed"}, tape.kinds())
		}
	})
}

func TestAnErrorOfTLSStartedClosesTheConnection(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		play := switches(w, nil)
		play.tlsStarted = func(t *tape) error {
			if err := t.say("no"); err != nil {
				return err
			}
			return errBroken
		}
		p, tape := w.serve(play, connection.Options{}).connect()
		p.begins()
		p.secure()
		assert.Equal(t, "no", p.rest())
		p.leave()
		assert.Equal(t, protocol.ReasonHandlerError, tape.ended().Reason)
	})
}

func TestPlainTextBehindTheCommandIsNeverShown(t *testing.T) {
	eachPlainForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, switches(w, nil), only(connection.Options{}))
		p, tape := s.connect()
		p.send("STARTTLS\nEVIL\n") // in one segment
		_, _ = p.all()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonHandshake, closed.Reason)
		assert.ErrorIs(t, closed.Err, protocol.ErrBytesBeforeTLS)
		assert.Equal(t, []string{"accepted", "data", "closed"}, tape.kinds())
		assert.EqualValues(t, len("EVIL\n"), closed.Stats.Unread)
		p.leave()
	})
}

// The last bytes in plain text wait, so everything is behind them in one queue.
func TestStartTLSWaitsForThePlainBytes(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		for _, evil := range []bool{true, false} {
			o := roomy()
			o.ReadGate = connection.GateOff
			s := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
				b.Discard(b.Len())
				t.stall()
				assert.NoError(w.t, t.say("last"))
				assert.NoError(w.t, t.socket.StartTLS(w.ownTLS()))
				return t.write("secret", "secret")
			}}, o)
			p, tape := s.connect()
			p.send("STARTTLS\n")
			tape.await("data")
			if evil {
				p.send("EVIL\r\nEVIL\r\n")
				w.settle()
				assert.Equal(t, 1, tape.count("data"))
				got, _ := p.all() // to a reset
				behind := strings.TrimPrefix(strings.TrimLeft(string(got), "s"), "last")
				assert.True(t, behind == "" || behind[0] == alert || behind[0] == handshake, "in plain text: %q", behind)
				assert.ErrorIs(t, tape.ended().Err, protocol.ErrBytesBeforeTLS)
				assert.Equal(t, 1, tape.count("data"))
			} else {
				same(t, strings.Repeat("s", stallSize)+"last", string(p.take(stallSize+len("last"))))
				p.secure()
				p.expect("secret")
			}
			p.leave()
			tape.ended()
		}
	})
}

// First bytes of records of TLS.
const (
	alert     = 0x15
	handshake = 0x16
)

// The bytes come when the handler has been called: they wait in the kernel, in the transport, or
// come during the handshake.
func TestPlainTextInThePlaceOfTLSIsNeverShown(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		for _, early := range []bool{true, false} {
			called, mayGoOn := make(chan struct{}), make(chan struct{})
			play := switches(w, nil)
			data := play.data
			play.data = func(t *tape, b *protocol.Buffer) error {
				close(called)
				<-mayGoOn
				return data(t, b)
			}
			p, tape := w.serve(play, connection.Options{}).connect()
			p.send("STARTTLS\n")
			received(w, called)
			if early {
				p.send("EVIL\r\nEVIL\r\n")
				w.settle()
			}
			close(mayGoOn)
			if !early {
				p.expect("go on\n")
				p.send("EVIL\r\nEVIL\r\n")
			}
			_, _ = p.all()
			closed := tape.ended()
			assert.Equal(t, protocol.ReasonHandshake, closed.Reason)
			assert.ErrorIs(t, closed.Err, protocol.ErrBytesBeforeTLS)
			assert.Equal(t, []string{"accepted", "data", "closed"}, tape.kinds())
			p.leave()
		}
	})
}

func TestStartTLSByPIDIsAnsweredOnceTheHandshakeIsDone(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: echo}, connection.Options{}).connect()
		a, pid := w.asker(), tape.socket.PID()
		a.send(pid, &protocol.Write{Data: []byte("plain ")})
		a.send(pid, &protocol.StartTLS{Config: w.ownTLS(), Ack: "tls"})
		a.send(pid, &protocol.Write{Data: []byte("secret ")})
		tape.unbooked = true
		p.expect("plain ")
		w.settle()
		assert.Empty(t, a.answers)
		p.secure()
		p.expect("secret ")
		assert.Equal(t, &protocol.Done{Ack: "tls"}, a.answer())
		p.send("x")
		p.expect("x")
		p.leave()
		tape.ended()
	})
}

func TestAStartTLSThatFailsIsAnsweredWithItsError(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		a := w.asker()
		a.send(tape.socket.PID(), &protocol.StartTLS{Config: w.ownTLS(), Ack: 1})
		a.send(tape.socket.PID(), &protocol.StartTLS{Config: w.ownTLS(), Ack: 2})
		assert.Equal(t, &protocol.Done{Ack: 2, Err: textError("berth: StartTLS is under way already")}, textual(a.answer()))
		tape.socket.Do(&protocol.StartTLS{Config: w.ownTLS()}, tape.done("second"))
		assert.EqualError(t, tape.await("second").err, "berth: StartTLS is under way already")
		require.NoError(t, tape.write("behind", "behind"))
		p.send("no TLS at all")
		_, _ = p.all()
		done := a.answer().(*protocol.Done)
		assert.ErrorIs(t, done.Err, protocol.ErrBytesBeforeTLS)
		assert.ErrorIs(t, tape.await("behind").err, protocol.ErrBytesBeforeTLS)
		p.leave()
		closed := tape.ended()
		assert.EqualValues(t, len("behind"), closed.Stats.Unsent)
		assert.Zero(t, closed.Stats.Written)
		assert.ErrorIs(t, tape.socket.StartTLS(w.ownTLS()), protocol.ErrClosed)
	})
}

func TestDoOfStartTLSCompletesWithTheHandshake(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		tape.socket.Do(&protocol.StartTLS{Config: w.ownTLS()}, tape.done("tls"))
		require.NoError(t, tape.say("secret"), "behind the Do, and never in plain text")
		p.secure()
		p.expect("secret")
		assert.NoError(t, tape.await("tls").err)
		assert.EqualError(t, tape.socket.StartTLS(w.ownTLS()), "berth: StartTLS: the connection has TLS already")
		p.leave()
		tape.ended()
	})
}

func TestAStartTLSThatCannotBeChangesNothing(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: echo}, connection.Options{}).connect()
		assert.EqualError(t, tape.socket.StartTLS(nil), "berth: StartTLS needs a TLS configuration")
		if w.network.dialled {
			assert.EqualError(t, tape.socket.StartTLS(&tls.Config{ServerName: "x", Renegotiation: tls.RenegotiateOnceAsClient}),
				"berth: StartTLS: renegotiation needs the stream transport: set Transport to it, or Renegotiation to RenegotiateNever")
		} else {
			assert.EqualError(t, tape.socket.StartTLS(&tls.Config{}),
				"berth: StartTLS: the configuration has no certificate: set one of Certificates, GetCertificate, GetConfigForClient")
		}
		a := w.asker()
		assert.Equal(t, &protocol.Done{Ack: 1, Err: textError("berth: StartTLS needs a TLS configuration")},
			textual(a.ask(tape.socket.PID(), &protocol.StartTLS{Ack: 1})))
		tape.socket.Do(&protocol.StartTLS{}, tape.done("refused"))
		assert.Error(t, tape.await("refused").err)
		p.send("still plain")
		p.expect("still plain")
		tape.socket.CloseWrite()
		assert.ErrorIs(t, tape.socket.StartTLS(w.ownTLS()), protocol.ErrClosed, "its FIN may be sent")
		p.rest()
		p.close()
		tape.ended()
	})
}

func TestAConnectionWithTLSGetsNoSecond(t *testing.T) {
	for _, n := range networks {
		if n.secured {
			n.each(t, func(t *testing.T, w *world) {
				p, tape := w.serve(script{data: echo}, connection.Options{}).connect()
				assert.EqualError(t, tape.socket.StartTLS(w.ownTLS()), "berth: StartTLS: the connection has TLS already")
				p.send("x")
				p.expect("x")
			})
		}
	}
}

func TestStartTLSWithinTheHandshakeTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for name, stall := range map[string]func(p *peer){
			"silent":        func(*peer) {},
			"part of Hello": func(p *peer) { _ = tls.Client(&rationed{Conn: p.Conn, left: 100}, &tls.Config{}).Handshake() },
		} {
			play := switches(w, nil)
			p, tape := w.serve(play, connection.Options{IdleTimeout: time.Second, ReadTimeout: time.Second}).connect()
			p.begins()
			start := time.Now()
			go stall(p)
			closed := tape.ended()
			within(t, 5*time.Second, time.Since(start))
			assert.Equal(t, protocol.ReasonHandshake, closed.Reason, name)
			assert.ErrorIs(t, closed.Err, protocol.ErrHandshakeTimeout, name)
			p.leave()
		}
	})
}

func TestAHandshakeOfStartTLSThatStallsEndsOnEveryNetwork(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		p, tape := w.serve(switches(w, nil), connection.Options{HandshakeTimeout: 30 * time.Millisecond}).connect()
		p.begins()
		_, _ = p.all()
		assert.ErrorIs(t, tape.ended().Err, protocol.ErrHandshakeTimeout)
		p.leave()
	})
}

func TestWriteContextBehindStartTLSEndsInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		start := time.Now()
		play := switches(w, func(t *tape) error {
			n, err := t.socket.WriteContext(context.Background(), make([]byte, 100))
			t.book(n)
			t.record(event{what: "waited", err: err})
			return err
		})
		p, tape := w.serve(play, connection.Options{WriteBufferSize: 50}).connect()
		p.begins()
		assert.Error(t, tape.await("waited").err)
		within(t, 5*time.Second, time.Since(start))
		assert.ErrorIs(t, tape.ended().Err, protocol.ErrHandshakeTimeout)
		p.leave()
	})
}

func TestThePeersEndInTheHandshakeOfStartTLSEndsTheConnection(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		for name, end := range map[string]func(p *peer){
			"FIN":  func(p *peer) { p.closeWrite() },
			"gone": func(p *peer) { p.leave() },
			"an alert": func(p *peer) {
				p.send("\x15\x03\x01\x00\x02\x02\x28")
			},
			"a broken record": func(p *peer) { p.send("\x16\x03\x01\x00\x04\x63\x00\x00\x00") },
		} {
			p, tape := w.serve(switches(w, nil), connection.Options{HandshakeTimeout: -1}).connect()
			p.begins()
			end(p)
			closed := tape.ended()
			assert.Equal(t, protocol.ReasonHandshake, closed.Reason, name)
			assert.Error(t, closed.Err, name)
			p.leave()
		}
	})
}

func TestAPeerThatResetsInTheHandshakeOfStartTLS(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		w.needsReset()
		p, tape := w.serve(switches(w, nil), connection.Options{HandshakeTimeout: -1}).connect()
		p.begins()
		p.reset()
		assert.Error(t, tape.ended().Err)
		assert.Equal(t, []string{"accepted", "data", "closed"}, tape.kinds())
	})
}

func TestAPauseHoldsDataAndNotTheHandshake(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		tape.socket.Pause()
		tape.paused()
		w.settle() // the transport may look for the end
		require.NoError(t, tape.socket.StartTLS(w.ownTLS()))
		p.secure()
		tape.await("tlsstarted")
		p.send("held")
		w.settle()
		assert.Zero(t, tape.count("data"))
		tape.socket.Resume()
		tape.sees("held")
		p.leave()
		tape.ended()
	})
}

func TestACloseBehindStartTLSFlushesOverTLS(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		const size = 200_000
		s := w.serve(switches(w, func(t *tape) error {
			if err := t.write("secret", pattern(size)); err != nil {
				return err
			}
			return t.socket.Close()
		}), roomy())
		p, tape := s.connect()
		p.begins()
		p.secure()
		same(t, pattern(size), p.rest())
		p.leave()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonLocalClosed, closed.Reason)
		assert.NoError(t, closed.Err)
		assert.NoError(t, tape.await("secret").err)
	})
}

// A barrier has no credit, by which the writer knows of what is on its way.
func TestACloseAtOnceBehindStartTLSWaitsForTheHandshake(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, connection.Options{})
		for range 10 {
			p, tape := s.connect()
			require.NoError(t, tape.socket.StartTLS(w.ownTLS()))
			require.NoError(t, tape.socket.Close())
			p.secure()
			assert.Empty(t, p.rest())
			p.leave()
			assert.NoError(t, tape.ended().Err)
		}
	})
}

func TestACloseBehindStartTLSIsBoundByCloseTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.serve(switches(w, func(t *tape) error {
			if err := t.write("secret", "secret"); err != nil {
				return err
			}
			return t.socket.Close()
		}), connection.Options{HandshakeTimeout: -1})
		p, tape := s.connect()
		start := time.Now()
		p.begins()
		closed := tape.ended()
		within(t, 5*time.Second, time.Since(start))
		assert.Equal(t, protocol.ReasonLocalClosed, closed.Reason)
		assert.ErrorIs(t, tape.await("secret").err, protocol.ErrCloseTimeout)
		p.leave()
	})
}

func TestAnAbortEndsTheHandshakeOfStartTLS(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		for _, begun := range []bool{false, true} {
			p, tape := w.serve(switches(w, nil), connection.Options{HandshakeTimeout: -1}).connect()
			p.begins()
			if begun && !w.network.dialled {
				p.send("\x16\x03\x01") // the beginning of a record
				w.settle()
			}
			tape.socket.Abort()
			assert.Equal(t, protocol.ReasonLocalAborted, tape.ended().Reason)
			p.leave()
		}
	})
}

func TestAShutdownWaitsForTheHandshakeOfStartTLS(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		play := switches(w, func(t *tape) error { return t.say("secret") })
		s := w.serve(play, connection.Options{DrainQuiet: -1})
		p, tape := s.connect()
		p.begins()
		ctx, cancel := context.WithTimeout(context.Background(), w.patience())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(ctx) }()
		w.settle()
		p.secure()
		p.expect("secret")
		_ = tape.socket.Close()
		p.rest()
		p.leave()
		assert.NoError(t, received(w, ended))
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason)
	})
}

func TestAHandlerThatIsReplacedInTheHandshakeGoesOnOverTLS(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		for _, factory := range []factoryOf{handlersForm, actorsForm} {
			s := w.open(factory, switches(w, func(*tape) error { panic(errBroken) }), only(restarting(1)))
			p, tape := s.connect()
			p.begins()
			tape.await("again")
			p.secure()
			p.send("x")
			p.expect("x")
			assert.Equal(t, []string{"accepted", "data", "again", "tlsstarted", "data"}, tape.kinds())
			p.leave()
			tape.ended()
		}
	})
}

func TestBecomeBeforeAndBehindStartTLS(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		for _, behind := range []bool{false, true} {
			var s *server
			play := switches(w, nil)
			data := play.data
			play.data = func(t *tape, b *protocol.Buffer) error {
				become := func() error { return t.socket.Become(handlersForm(s, script{data: echo})) }
				if behind {
					if err := data(t, b); err != nil {
						return err
					}
					return become()
				}
				if err := become(); err != nil {
					return err
				}
				return data(t, b)
			}
			s = w.upgradable(handlersForm, play, connection.Options{})
			p, tape := s.connect()
			p.begins()
			p.secure()
			p.send("new")
			p.expect("new")
			assert.Equal(t, []string{"accepted", "data", "again", "tlsstarted", "data"}, tape.kinds())
			p.leave()
			tape.ended()
		}
	})
}

// A Writable and a refusal: the queue fills behind the switch, and there is room once it is done.
func TestWritesThatFindNoRoomBehindStartTLS(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		for _, policy := range []connection.SlowPolicy{connection.SlowRefuse, connection.SlowClose, connection.SlowDropNewest} {
			s := w.serve(script{}, connection.Options{WriteBufferSize: 10, SlowConsumer: policy})
			p, tape := s.connect()
			require.NoError(t, tape.socket.StartTLS(w.ownTLS()))
			require.NoError(t, tape.say("12345678"))
			assert.ErrorIs(t, tape.say("90123"), protocol.ErrWriteBufferFull, "the peer is not slow")
			var all sync.WaitGroup
			all.Go(func() {
				n, err := tape.socket.WriteContext(context.Background(), []byte(pattern(2_000)))
				tape.book(n)
				assert.NoError(t, err)
			})
			w.settle()
			p.secure()
			p.expect("12345678")
			same(t, pattern(2_000), string(p.take(2_000)))
			all.Wait()
			tape.until("room", func(events []event) bool {
				last := events[len(events)-1]
				return last.what == "writable" && last.flag
			})
			require.NoError(t, tape.say("90123"))
			p.expect("90123")
			p.leave()
			tape.ended()
		}
	})
}

func TestFilesBeforeAndBehindStartTLS(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		content := pattern(300_000)
		f := w.file(content)
		p, tape := w.serve(script{}, connection.Options{}).connect()
		require.NoError(t, tape.sendFile("plain", f, 0, 300_000))
		require.NoError(t, tape.socket.StartTLS(w.ownTLS()))
		require.NoError(t, tape.sendFile("secret", f, 100_000, 200_000))
		require.NoError(t, tape.say("end"))
		same(t, content, string(p.take(300_000)))
		p.secure()
		same(t, content[100_000:]+"end", string(p.take(200_003)))
		assert.NoError(t, tape.await("plain").err)
		assert.NoError(t, tape.await("secret").err)
		p.leave()
		tape.ended()
	})
}

func TestMembersOfAGroupStartTLSEachInItsTime(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		g, peers, tapes := gather(w.serve(script{}, connection.Options{}), 3)
		var plain, secret strings.Builder
		for i := range 20 {
			line := fmt.Sprintf("line %d\n", i)
			_, err := g.WriteOwned([]byte(line))
			require.NoError(t, err)
			if i < 7 {
				plain.WriteString(line)
			} else {
				secret.WriteString(line)
			}
			if i == 6 {
				require.NoError(t, tapes[1].socket.StartTLS(w.ownTLS()))
			}
		}
		peers[0].expect(plain.String() + secret.String())
		peers[2].expect(plain.String() + secret.String())
		peers[1].expect(plain.String())
		peers[1].secure()
		peers[1].expect(secret.String())
		peers[1].leave()
		tapes[1].ended()
	})
}

// Both directions at once, and many connections: what crosses the switch is in order.
func TestManyConnectionsStartTLSUnderLoad(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		const size = 100_000
		s := w.serve(switches(w, nil), connection.Options{})
		var all sync.WaitGroup
		for range 8 {
			p, _ := s.connect()
			all.Go(func() {
				p.send("before")
				if got := string(p.take(6)); got != "before" {
					assert.Fail(t, "not echoed", got)
				}
				p.patiently()
				_, _ = io.WriteString(p.Conn, "STARTTLS\n")
				p.expect("go on\n")
				secured := p.over()
				sent := make(chan error, 1)
				go func() {
					_, err := io.WriteString(secured, pattern(size))
					sent <- err
				}()
				got := make([]byte, size)
				_, err := io.ReadFull(secured, got)
				assert.NoError(t, err)
				assert.NoError(t, <-sent)
				same(t, pattern(size), string(got))
				_ = secured.Close()
			})
		}
		all.Wait()
	})
}

func TestStartTLSNeverLeaksPlainText(t *testing.T) {
	eachPlain(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, connection.Options{})
		for range 10 {
			p, tape := s.connect()
			tape.socket.Pause() // the peer may begin before this side does
			tape.paused()
			var all sync.WaitGroup
			all.Go(func() {
				for range 20 {
					assert.NoError(t, tape.say("p"))
				}
				assert.NoError(t, tape.socket.StartTLS(w.ownTLS()))
				for range 20 {
					assert.NoError(t, tape.say("s"))
				}
			})
			p.expect(strings.Repeat("p", 20))
			p.secure()
			p.expect(strings.Repeat("s", 20))
			all.Wait()
			tape.socket.Resume()
			p.leave()
			tape.ended()
		}
	})
}

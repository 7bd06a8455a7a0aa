package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// Every later write fails with the cause of the connection's end: net.ErrClosed if this side has
// closed, the error of the network if the peer has reset it.

// breakOff is a peer that breaks off without a closeNotify, on every network. If the network has no
// RST, it closes with unread input.
func (p *peer) breakOff() {
	p.w.t.Helper()
	if p.w.network.resets {
		p.reset()
		return
	}
	p.close()
}

// theirs checks that the peer caused err, and that it has the connection's addresses.
func theirs(t *testing.T, tape *tape, name string, err error) {
	t.Helper()
	var op *net.OpError
	require.ErrorAs(t, err, &op, name)
	assert.NotErrorIs(t, err, net.ErrClosed, "%s: nothing here has closed", name)
	assert.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE), "%s: %v", name, err)
	assert.NotEmpty(t, op.Op, name)
	if !tape.w.network.proxied { // the socket's own are the proxy's
		assert.Equal(t, tape.socket.RemoteAddr().String(), op.Addr.String(), name)
		assert.Equal(t, tape.socket.LocalAddr().String(), op.Source.String(), name)
		assert.Equal(t, tape.socket.RemoteAddr().Network(), op.Net, name)
	}
}

// everyWrite tries every way to write, and returns the errors by name.
func (w *world) everyWrite(tape *tape) map[string]error {
	never := func(error) { assert.Fail(w.t, "a refused write completed") }
	errs := map[string]error{}
	_, errs["Write"] = tape.socket.Write([]byte("late"))
	errs["WriteOwned"] = tape.socket.WriteOwned([]byte("late"), never)
	errs["WriteBuffers"] = tape.socket.WriteBuffers([][]byte{[]byte("late")}, never)
	errs["WriteFile"] = tape.socket.WriteFile(w.file("late"), 0, 4, never)
	_, errs["Forward"] = tape.socket.Forward(protocol.NewBuffer([]byte("late")))
	_, errs["WriteContext"] = tape.socket.WriteContext(context.Background(), []byte("late"))
	_, errs["Writer"] = tape.socket.Writer(context.Background()).Write([]byte("late"))
	return errs
}

func TestAWriteAfterThePeersResetGivesItsError(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		a, told := w.asker(), w.announcements()
		var mu sync.Mutex
		errs := map[string]error{}
		s := w.serve(script{closing: func(tape *tape) { // the cause is known before Closed
			mu.Lock()
			defer mu.Unlock()
			errs = w.everyWrite(tape)
			a.send(tape.socket.PID(), &protocol.Write{Data: []byte("late"), Ack: 1})
			tape.socket.Do(&protocol.Write{Data: []byte("late")}, tape.done("done"))
			errs["Info"] = tape.socket.Info().Err
		}}, roomy())
		p, tape := s.connect()
		tape.stall()
		p.breakOff()
		closed := tape.ended()
		mu.Lock()
		defer mu.Unlock()
		errs["Closed"], errs["Closing"] = closed.Err, tape.closing().Err
		errs["the event stream"] = told.await(tape.socket.PID()).Err
		errs["the completion"] = tape.await("stall").err
		errs["Do"] = tape.await("done").err
		failed, ok := a.answer().(*protocol.WriteFailed)
		require.True(t, ok)
		errs["by PID"] = failed.Err
		for name, err := range w.everyWrite(tape) {
			errs[name+", after Closed"] = err
		}
		for name, err := range errs {
			theirs(t, tape, name, err)
		}
		assert.Equal(t, protocol.ReasonPeerReset, tape.socket.Info().Reason)
		late := make(chan error, 1)
		tape.socket.Do(&protocol.Write{Data: []byte("late")}, func(err error) { late <- err })
		theirs(t, tape, "Do, after Closed", <-late)
	})
}

func TestAWriteAfterOurOwnEndGivesErrClosed(t *testing.T) {
	for name, end := range map[string]func(w *world, s *server, t *tape){
		"Close":    func(_ *world, _ *server, t *tape) { _ = t.socket.Close() },
		"Abort":    func(_ *world, _ *server, t *tape) { t.socket.Abort() },
		"Stop":     func(w *world, _ *server, t *tape) { w.system.Root.Stop(t.socket.PID()) },
		"Shutdown": func(_ *world, s *server, _ *tape) { _ = s.Close() },
		"an error": func(w *world, _ *server, t *tape) { w.system.Root.Send(t.socket.PID(), "fail") },
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				s := w.serve(obeying(), connection.Options{})
				p, tape := s.connect()
				end(w, s, tape)
				tape.closing()
				for name, err := range w.everyWrite(tape) {
					assert.ErrorIs(t, err, protocol.ErrClosed, name)
					assert.ErrorIs(t, err, net.ErrClosed, name)
				}
				p.close()
				closed := tape.ended()
				assert.Equal(t, closed.Reason, tape.socket.Info().Reason)
				assert.Equal(t, closed.Err, tape.socket.Info().Err)
			})
		})
	}
}

// failures counts the events of handlers that failed.
func (w *world) failures() (count func(pid *actor.PID) int) {
	var mu sync.Mutex
	failed := map[string]int{}
	subscription := w.system.EventStream.Subscribe(func(event any) {
		if f, ok := event.(*connection.HandlerFailed); ok {
			mu.Lock()
			failed[f.PID.Id]++
			mu.Unlock()
		}
	})
	w.t.Cleanup(func() { w.system.EventStream.Unsubscribe(subscription) })
	return func(pid *actor.PID) int {
		mu.Lock()
		defer mu.Unlock()
		return failed[pid.Id]
	}
}

func TestReturningARefusalAfterTheEndIsNoFailure(t *testing.T) {
	wrapped := func(t *tape, b *protocol.Buffer) error {
		if err := echo(t, b); err != nil {
			return fmt.Errorf("echoing: %w", err)
		}
		return nil
	}
	for name, one := range map[string]struct {
		data   func(t *tape, b *protocol.Buffer) error
		end    func(p *peer, t *tape)
		reason protocol.Reason
	}{
		"a reset":          {echo, func(p *peer, _ *tape) { p.breakOff() }, protocol.ReasonPeerReset},
		"a reset, wrapped": {wrapped, func(p *peer, _ *tape) { p.breakOff() }, protocol.ReasonPeerReset},
		"Close by another": {echo, func(p *peer, t *tape) { _ = t.socket.Close(); p.drain() }, protocol.ReasonLocalClosed},
		"Abort by another": {wrapped, func(_ *peer, t *tape) { t.socket.Abort() }, protocol.ReasonLocalAborted},
	} {
		t.Run(name, func(t *testing.T) {
			eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
				if strings.Contains(t.Name(), "/actors/") {
					t.Skip("an actor has no error to return, only a panic")
				}
				failures, told := w.failures(), w.announcements()
				entered, release := make(chan struct{}), make(chan struct{})
				refused := make(chan error, 1)
				o := roomy()
				o.ReadGate = connection.GateOff
				s := w.open(factory, script{data: func(t *tape, b *protocol.Buffer) error {
					close(entered)
					<-release
					err := one.data(t, b)
					refused <- err
					return err
				}}, only(o))
				p, tape := s.connect()
				tape.stall()
				p.send("x")
				<-entered
				one.end(p, tape)
				told.await(tape.socket.PID())
				close(release)
				require.Error(t, <-refused)
				closed := tape.ended()
				assert.Equal(t, one.reason, closed.Reason)
				require.NoError(t, s.Close())
				assert.Zero(t, failures(tape.socket.PID()))
			})
		})
	}
}

func TestAHandlerThatFailsForAnotherReasonHasFailed(t *testing.T) {
	for name, err := range map[string]error{
		"another error while it ends":  errEnough,
		"a panic with a write's error": nil,
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				failures := w.failures()
				s := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
					b.Discard(b.Len())
					t.socket.Abort()
					if err == nil {
						panic(t.say("late"))
					}
					return err
				}}, connection.Options{})
				p, tape := s.connect()
				p.send("x")
				assert.Equal(t, protocol.ReasonLocalAborted, tape.ended().Reason)
				require.NoError(t, s.Close())
				assert.Equal(t, 1, failures(tape.socket.PID()))
			})
		})
	}
}

// The handler itself has caused the error of a write that was refused because of CloseWrite.
func TestAHandlerThatWritesAfterItsCloseWriteHasFailed(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		failures := w.failures()
		s := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			t.socket.CloseWrite()
			return echo(t, b)
		}}, connection.Options{})
		p, tape := s.connect()
		p.send("x")
		p.rest()
		p.close()
		assert.Equal(t, protocol.ReasonHandlerError, tape.ended().Reason)
		require.NoError(t, s.Close())
		assert.Equal(t, 1, failures(tape.socket.PID()))
	})
}

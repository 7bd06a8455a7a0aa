//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// faultySocket is a listening socket in a poll set whose accepts fail as the script says, before
// anything else happens.
type faultySocket struct {
	acceptSocket
	acceptor *pollAcceptor

	mu     sync.Mutex
	script []error
}

func (f *faultySocket) Accept(set *transport.PollSet) (*transport.Poll, error) {
	f.mu.Lock()
	if len(f.script) > 0 {
		step := f.script[0]
		f.script = f.script[1:]
		f.mu.Unlock()
		return nil, act(step)
	}
	f.mu.Unlock()
	return f.acceptSocket.Accept(set)
}

// fail has the next accepts fail. It first waits until the acceptor has found that there is no
// other client: else the next client could be accepted by a call that has begun, and the one behind
// it would fail.
func (f *faultySocket) fail(t *testing.T, steps ...error) {
	t.Helper()
	eventually(t, func() bool { m := f.acceptor.mailbox.Load(); return m != nil && !m.Busy() })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = append(f.script, steps...)
}

// makeFaulty puts a faultySocket into the slot of an acceptor's socket.
func makeFaulty(a *pollAcceptor) *faultySocket {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := &faultySocket{acceptSocket: a.socket, acceptor: a}
	a.socket = f
	return f
}

func TestNoErrorOfAcceptEndsAPollListener(t *testing.T) {
	overSockets(t, func(t *testing.T, w *world, listen func(tcpactor.Factory, Options) *Listener) {
		l := listen(of(&echo{}), Options{MaxConnections: 2})
		l.server.bind = nil // as if Serve had made it: otherwise a lost socket is replaced
		f := makeFaulty(l.server.polling.acceptors()[0])
		live := dial(t, l)
		echoes(t, live)
		for n, fault := range acceptFaults {
			f.fail(t, os.NewSyscallError("accept", fault.err))
			c := dial(t, l)
			echoes(t, c)
			require.NoError(t, c.Close())
			failed := published[*AcceptFailed](w)
			require.Len(t, failed, n+1, "%v", fault.err)
			require.ErrorIs(t, failed[n].Err, fault.err)
			assert.Equal(t, fault.class, failed[n].Class)
			jittered(t, 0, failed[n].Wait)
			echoes(t, live)
			eventually(t, func() bool { return l.Info().Open == 1 })
		}
	})
}

func TestAPollAcceptorThatPanicsComesBackAndNoConnectionNotices(t *testing.T) {
	overSockets(t, func(t *testing.T, w *world, listen func(tcpactor.Factory, Options) *Listener) {
		l := listen(of(&echo{}), Options{MaxConnections: 2})
		f := makeFaulty(l.server.polling.acceptors()[0])
		live := dial(t, l)
		echoes(t, live)
		for n, step := range []error{panics{errBoom}, errGoexits, panics{errBoom}} {
			f.fail(t, step)
			c := dial(t, l)
			echoes(t, c)
			require.NoError(t, c.Close())
			failed := published[*AcceptorFailed](w)
			require.Len(t, failed, n+1)
			assert.Equal(t, n+1, failed[n].Restarts)
			jittered(t, n, failed[n].Wait)
			var panicked *protocol.PanicError
			if step == errGoexits {
				require.ErrorIs(t, failed[n].Err, errGoexit)
			} else {
				require.ErrorIs(t, failed[n].Err, errBoom)
				require.ErrorAs(t, failed[n].Err, &panicked)
				assert.Contains(t, string(panicked.Stack), "Accept")
			}
			echoes(t, live)
			eventually(t, func() bool { return l.Info().Open == 1 })
		}
		assert.Empty(t, published[*AcceptFailed](w))
	})
}

func TestAPollAcceptorThatPanicsTooOftenIsEscalatedAndGoesOn(t *testing.T) {
	t.Parallel() // it mostly waits
	overSockets(t, func(t *testing.T, w *world, listen func(tcpactor.Factory, Options) *Listener) {
		l := listen(of(&echo{}), Options{})
		f := makeFaulty(l.server.polling.acceptors()[0])
		live := dial(t, l)
		echoes(t, live)
		for range mostRestarts + 1 {
			f.fail(t, panics{errBoom})
		}
		echoes(t, dial(t, l))
		failed := published[*AcceptorFailed](w)
		require.Len(t, failed, mostRestarts+1)
		assert.True(t, failed[mostRestarts].Escalated)
		echoes(t, live)
		echoes(t, dial(t, l))
	})
}

// While it waits it accepts no client, and a shutdown joins its timer.
func TestAPollAcceptorThatWaitsAcceptsNoClientAndCanBeShutDown(t *testing.T) {
	overSockets(t, func(t *testing.T, w *world, listen func(tcpactor.Factory, Options) *Listener) {
		l := listen(of(&echo{}), Options{Connection: brisk})
		f := makeFaulty(l.server.polling.acceptors()[0])
		for range 20 {
			f.fail(t, syscall.EMFILE)
		}
		_ = dial(t, l)
		eventually(t, func() bool { return len(published[*AcceptFailed](w)) == 8 }) // the next wait is over half a second
		assert.Zero(t, l.Info().Accepted)
		eventually(t, l.server.polling.acceptors()[0].pause.running)
		began := time.Now()
		require.NoError(t, l.Close())
		assert.Less(t, time.Since(began), patience/2)
		assert.False(t, l.server.polling.acceptors()[0].pause.running())
	})
}

// Its mailbox outlives it for a moment, and must not go on in its name.
func TestAPollAcceptorThatWasStoppedAcceptsNoClientUntilItIsMadeAnew(t *testing.T) {
	overSockets(t, func(t *testing.T, w *world, listen func(tcpactor.Factory, Options) *Listener) {
		l := listen(of(&echo{}), Options{})
		live := dial(t, l)
		echoes(t, live)
		for range 7 { // now it waits for more than a quarter of a second
			eventually(t, func() bool { return len(w.acceptors(l)) == 1 })
			stopped := w.acceptors(l)[0]
			w.Root.Stop(stopped)
			eventually(t, func() bool { return !slices.ContainsFunc(w.acceptors(l), stopped.Equal) }) // the next one may be there soon
		}
		c := dial(t, l)
		for range 20 {
			echoes(t, live)
			l.server.intake.nudge()
			accepted := l.Info().Accepted
			if len(w.acceptors(l)) == 0 {
				assert.EqualValues(t, 1, accepted)
			}
		}
		echoes(t, c)
	})
}

package listener

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/faultnet"
	"github.com/go-berth/berth/test/simnet"
)

// Steps of a script that return no error: a panic with an error, and runtime.Goexit.
type panics struct{ error }

var errGoexits = errors.New("runtime.Goexit")

// act does what a step of a script says.
func act(step error) error {
	switch step := step.(type) { //nolint:errorlint // it is never wrapped
	case panics:
		panic(step.error)
	default:
		if errors.Is(step, errGoexits) {
			runtime.Goexit()
		}
		return step
	}
}

// fail lets the next accepts fail by these steps.
func fail(f *faultnet.Listener, steps ...error) {
	synctest.Wait() // the accept loop waits for a client: what comes now is for the one after
	for _, step := range steps {
		f.Do(func() error { return act(step) })
	}
}

// failInEveryClass lets one accept fail for each class.
func failInEveryClass(f *faultnet.Listener) {
	synctest.Wait()
	f.Fail(syscall.EMFILE, syscall.ECONNABORTED, syscall.EPERM, syscall.EINVAL, io.EOF)
}

// inABubble serves a faulty listener over simnet, in virtual time, and stops everything afterwards.
func inABubble(t *testing.T, options Options, test func(t *testing.T, w *world, l *Listener, f *faultnet.Listener, dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		network := simnet.Listen(simnet.Options{})
		f := faultnet.NewListener(network)
		l, err := Serve(w.Root, f, of(newEcho()), options)
		require.NoError(t, err)
		defer func() { _ = l.Close() }() // a failing test, too, leaves an empty bubble
		test(t, w, l, f, func() net.Conn {
			c, err := network.Dial(t.Context())
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
			return c
		})
		require.NoError(t, l.Close())
		assert.Empty(t, w.actors())
		time.Sleep(2 * time.Second) // a dead letter's throttle
		synctest.Wait()
	})
}

// One of each kind alone: the next accept comes after the shortest wait, and every client is
// served.
func TestNoErrorOfAcceptEndsAListener(t *testing.T) {
	for _, fault := range acceptFaults {
		inABubble(t, Options{}, func(t *testing.T, w *world, l *Listener, f *faultnet.Listener, dial func() net.Conn) {
			before := dial()
			echoes(t, before)
			fail(f, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", fault.err)})
			echoes(t, dial()) // frees the accept that waits; the next one fails
			synctest.Wait()
			failed := published[*AcceptFailed](w)
			require.Len(t, failed, 1, "%v", fault.err)
			require.ErrorIs(t, failed[0].Err, fault.err)
			assert.Equal(t, fault.class, failed[0].Class)
			assert.Equal(t, l.Addr(), failed[0].Addr)
			jittered(t, 0, failed[0].Wait)
			echoes(t, before)
			echoes(t, dial())
			assert.EqualValues(t, 1, l.Info().AcceptErrors)
			assert.EqualValues(t, 3, l.Info().Accepted)
		})
	}
}

func TestFailuresInARowWaitTwiceAsLongEachUpToASecond(t *testing.T) {
	inABubble(t, Options{}, func(t *testing.T, w *world, _ *Listener, f *faultnet.Listener, dial func() net.Conn) {
		const failures = 12
		live := dial()
		echoes(t, live)
		for range failures {
			fail(f, syscall.EMFILE)
		}
		echoes(t, dial())
		for n := range failures {
			synctest.Wait()
			failed := published[*AcceptFailed](w)
			require.Len(t, failed, n+1, "one event for each step")
			jittered(t, n, failed[n].Wait)
			echoes(t, live)
			time.Sleep(failed[n].Wait - 1)
			synctest.Wait()
			require.Len(t, published[*AcceptFailed](w), n+1, "not before the wait is over")
			time.Sleep(1)
		}
		echoes(t, dial())
		fail(f, syscall.EMFILE)
		echoes(t, dial())
		synctest.Wait()
		failed := published[*AcceptFailed](w)
		require.Len(t, failed, failures+1)
		jittered(t, 0, failed[failures].Wait) // a success begins anew
	})
}

func TestWhileAcceptsFailNoPermitIsLost(t *testing.T) {
	for _, whenFull := range []WhenFull{Wait, Reject} {
		inABubble(t, Options{MaxConnections: 2, WhenFull: whenFull}, func(t *testing.T, _ *world, _ *Listener, f *faultnet.Listener, dial func() net.Conn) {
			echoes(t, dial())
			failInEveryClass(f)
			echoes(t, dial())
			time.Sleep(time.Minute)
		})
		inABubble(t, Options{MaxConnections: 1, WhenFull: whenFull}, func(t *testing.T, _ *world, l *Listener, f *faultnet.Listener, dial func() net.Conn) {
			for range 5 {
				failInEveryClass(f)
				c := dial()
				echoes(t, c)
				require.NoError(t, c.Close())
				time.Sleep(time.Minute)
				assert.Zero(t, l.Info().Open)
			}
		})
	}
}

func TestAShutdownDoesNotWaitForTheBackoff(t *testing.T) {
	inABubble(t, Options{}, func(t *testing.T, w *world, l *Listener, f *faultnet.Listener, dial func() net.Conn) {
		for range 20 {
			fail(f, syscall.EMFILE)
		}
		c := dial()
		echoes(t, c)
		time.Sleep(10 * time.Second)
		require.NoError(t, c.Close())
		synctest.Wait()
		began := time.Now()
		require.NoError(t, l.Shutdown(t.Context()))
		assert.Less(t, time.Since(began), 100*time.Millisecond)
		assert.NotEmpty(t, published[*AcceptFailed](w))
	})
}

func TestDuringABackoffASuspensionHolds(t *testing.T) {
	inABubble(t, Options{}, func(t *testing.T, _ *world, l *Listener, f *faultnet.Listener, dial func() net.Conn) {
		fail(f, syscall.EMFILE)
		echoes(t, dial())
		l.Suspend()
		c := dial()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 1, l.Info().Accepted)
		require.NoError(t, l.Resume())
		echoes(t, c)
	})
}

package listener

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// brisk closes what is quiet at once, so that an orderly shutdown takes no time.
// A client that does not close its side then is not waited for either.
var brisk = connection.Options{DrainQuiet: 10 * time.Millisecond, CloseTimeout: 200 * time.Millisecond}

func TestAnOrderlyShutdownClosesEveryConnectionAndLeavesNothing(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, before, handler := newWorld(), descriptors(), newEcho()
		o.Connection = brisk
		l, err := Listen(w.Root, anyPort, of(handler), o)
		require.NoError(t, err)
		const clients = 10
		var ended sync.WaitGroup
		for range clients {
			c := dial(t, l)
			echoes(t, c)
			ended.Go(func() {
				assert.NoError(t, ends(c), "FIN and not RST")
				_ = c.Close()
			})
		}
		require.NoError(t, l.Shutdown(within(t, patience)))
		select {
		case <-l.Done():
		default:
			assert.Fail(t, "Done comes before Shutdown returns")
		}
		ended.Wait()
		for range clients {
			closed := receive(t, handler.closed)
			assert.Equal(t, protocol.ReasonShutdown, closed.Reason)
			assert.NoError(t, closed.Err)
		}
		assert.Empty(t, w.actors())
		assert.LessOrEqual(t, descriptors(), before)
		assert.Equal(t, clients, published[*DrainStarted](w)[0].Open)
		require.Len(t, published[*Stopped](w), 1)
		assert.Zero(t, published[*Stopped](w)[0].Aborted)
		assert.False(t, l.Info().Accepting)
	})
}

// talker never becomes quiet until it is told to. It gets Draining.
type talker struct {
	echo
	draining chan time.Time
}

func (h *talker) Draining(_ protocol.Socket, deadline time.Time) error {
	h.draining <- deadline
	return nil // and no Close
}

func TestAtTheDeadlineTheRestIsClosedAndThenAborted(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		handler := &talker{echo: *newEcho(), draining: make(chan time.Time, 1)}
		o.Connection.CloseTimeout = -1
		l, err := Listen(w.Root, anyPort, of(handler), o)
		require.NoError(t, err)
		c := dial(t, l) // which does not close its side when ours is
		echoes(t, c)
		eventually(t, func() bool { return l.Info().Written == uint64(len("hello")) }) // the client may know before
		began := time.Now()
		err = l.Shutdown(within(t, 300*time.Millisecond))
		var late *ShutdownError
		require.ErrorAs(t, err, &late)
		assert.Equal(t, ShutdownError{Aborted: 1}, *late)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.EqualError(t, err, "berth: shutdown deadline passed, 1 connections aborted")
		told := receive(t, handler.draining)
		assert.True(t, told.After(began) && told.Before(began.Add(300*time.Millisecond)), "time is left to close in an orderly way")
		assert.Equal(t, protocol.ReasonShutdown, receive(t, handler.closed).Reason)
		assert.Empty(t, w.actors())
		assert.Equal(t, 1, published[*Stopped](w)[0].Aborted)
	})
}

// stuck does not return from Data until it is released.
type stuck struct {
	echo
	inside  chan struct{}
	release chan struct{}
}

func (h *stuck) Data(protocol.Socket, *protocol.Buffer) error {
	h.inside <- struct{}{}
	<-h.release
	return nil
}

func TestAHandlerThatDoesNotReturnIsNamedAndEndsWhenItDoes(t *testing.T) {
	t.Parallel() // it mostly waits
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		handler := &stuck{echo: *newEcho(), inside: make(chan struct{}, 1), release: make(chan struct{})}
		l, err := Listen(w.Root, anyPort, of(handler), o)
		require.NoError(t, err)
		c := dial(t, l)
		pid := receive(t, handler.accepted).PID()
		_, _ = c.Write([]byte("x"))
		receive(t, handler.inside)

		err = l.Shutdown(within(t, 50*time.Millisecond))
		var late *ShutdownError
		require.ErrorAs(t, err, &late)
		assert.Equal(t, 1, late.Aborted)
		require.Len(t, late.Stuck, 1)
		assert.True(t, pid.Equal(late.Stuck[0]))
		assert.Contains(t, err.Error(), pid.Id)
		require.Error(t, ends(c), "its socket is gone nevertheless")
		require.Error(t, l.Close(), "and a later Close says so too")

		close(handler.release)
		receive(t, l.Done())
		assert.Equal(t, protocol.ReasonShutdown, receive(t, handler.closed).Reason)
		assert.Empty(t, w.actors())
	})
}

func TestEveryShutdownAndCloseReturnsWhenTheListenerHasEnded(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for range 5 {
			w := newWorld()
			l, err := Listen(w.Root, anyPort, of(newEcho()), o)
			require.NoError(t, err)
			for range 3 {
				echoes(t, dial(t, l))
			}
			var calls sync.WaitGroup
			answers := make(chan error, 100)
			for i := range 8 {
				calls.Go(func() {
					if i%2 == 0 {
						answers <- l.Close()
					} else {
						answers <- l.Shutdown(within(t, patience))
					}
					select {
					case <-l.Done():
					default:
						assert.Fail(t, "something is left")
					}
					assert.Empty(t, w.actors())
				})
			}
			calls.Wait()
			answers <- l.Shutdown(within(t, patience))
			answers <- l.Close()
			close(answers)
			one := <-answers
			for err := range answers {
				require.Equal(t, one, err, "there is one end, and one answer")
			}
			require.Len(t, published[*Stopped](w), 1)
		}
	})
}

func TestALaterCloseHurriesAShutdown(t *testing.T) {
	w := newWorld()
	handler := &talker{echo: *newEcho(), draining: make(chan time.Time, 1)}
	l, err := Listen(w.Root, anyPort, of(handler), Options{ShutdownTimeout: -1})
	require.NoError(t, err)
	echoes(t, dial(t, l))
	result := make(chan error, 1)
	go func() { result <- l.Shutdown(context.Background()) }()
	assert.Zero(t, receive(t, handler.draining), "without a limit")
	cutOff := l.Close()
	require.ErrorIs(t, cutOff, os.ErrDeadlineExceeded)
	require.Equal(t, cutOff, receive(t, result))
}

func TestACloseThatComesFirstIsTheAnswerToALaterShutdown(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		l, err := Listen(w.Root, anyPort, of(newEcho()), o)
		require.NoError(t, err)
		echoes(t, dial(t, l))
		require.NoError(t, l.Close())
		require.NoError(t, l.Shutdown(within(t, patience)))
		require.NoError(t, l.Close())
		assert.Equal(t, 1, published[*Stopped](w)[0].Aborted, "and it is told")
	})
}

func TestAShutdownThatWasLateIsTheAnswerToALaterClose(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		l, err := Listen(newWorld().Root, anyPort, of(&talker{echo: *newEcho(), draining: make(chan time.Time, 1)}), o)
		require.NoError(t, err)
		echoes(t, dial(t, l))
		late := l.Shutdown(within(t, 50*time.Millisecond))
		require.ErrorIs(t, late, os.ErrDeadlineExceeded)
		require.Equal(t, late, l.Close())
		require.Equal(t, late, l.Shutdown(within(t, patience)))
	})
}

func TestCancellingAShutdownAborts(t *testing.T) {
	w := newWorld()
	handler := &talker{echo: *newEcho(), draining: make(chan time.Time, 1)}
	l, err := Listen(w.Root, anyPort, of(handler), Options{})
	require.NoError(t, err)
	echoes(t, dial(t, l))
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- l.Shutdown(ctx) }()
	receive(t, handler.draining)
	cancel()
	require.ErrorIs(t, receive(t, result), os.ErrDeadlineExceeded)
	assert.Empty(t, w.actors())
}

func TestAListenerCanBeShutDownByMessageAndByStop(t *testing.T) {
	for name, end := range map[string]func(*world, *Listener){
		"Shutdown": func(w *world, l *Listener) { w.Root.Send(l.PID(), &protocol.Shutdown{}) },
		"with a deadline": func(w *world, l *Listener) {
			w.Root.Send(l.PID(), &protocol.Shutdown{Deadline: time.Now().Add(patience)})
		},
		"Stop":   func(w *world, l *Listener) { w.Root.Stop(l.PID()) },
		"Poison": func(w *world, l *Listener) { w.Root.Poison(l.PID()) },
	} {
		overEach(t, func(t *testing.T, o Options) {
			w := newWorld()
			o.Connection = brisk
			l, err := Listen(w.Root, anyPort, of(newEcho()), o)
			require.NoError(t, err)
			c := dial(t, l)
			echoes(t, c)
			gone := make(chan error, 1)
			go func() { gone <- ends(c); _ = c.Close() }()
			end(w, l)
			require.NoError(t, receive(t, gone), name)
			receive(t, l.Done())
			assert.Empty(t, w.actors(), name)
			require.NoError(t, l.Close(), name)
		})
	}
}

// A connection that ends while the server drains must not move the moment at which the others are
// closed.
func TestTheTimeForAnOrderlyCloseIsNotEatenByConnectionsThatEndMeanwhile(t *testing.T) {
	w := newWorld()
	handler := &talker{echo: *newEcho(), draining: make(chan time.Time, 100)}
	l, err := Listen(w.Root, anyPort, of(handler), Options{Transport: Stream})
	require.NoError(t, err)
	last := dial(t, l)
	echoes(t, last)
	var others []net.Conn
	for range 40 {
		c := dial(t, l)
		echoes(t, c)
		others = append(others, c)
	}
	result := make(chan error, 1)
	go func() { result <- l.Shutdown(within(t, 3*time.Second)) }()
	told := receive(t, handler.draining)
	stop := make(chan struct{})
	var leaving sync.WaitGroup
	for i, c := range others {
		at := time.Now().Add(time.Duration(i) * 75 * time.Millisecond)
		if at.Sub(told).Abs() < 300*time.Millisecond {
			at = at.Add(time.Minute) // its end would be work under way at that moment
		}
		leaving.Go(func() {
			defer c.Close()
			timer := time.NewTimer(time.Until(at))
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-stop:
			}
		})
	}
	require.NoError(t, ends(last))
	assert.WithinDuration(t, told, time.Now(), 200*time.Millisecond, "what Draining said is what happens")
	_ = last.Close()
	close(stop)
	leaving.Wait()
	require.NoError(t, receive(t, result))
}

var _ tcpactor.DrainingHandler = (*talker)(nil)
var _ actor.Actor = (*supervisor)(nil)

// late is a connection whose Read takes its time to return after a Close.
type late struct {
	net.Conn
	reading *atomic.Int32
}

func (c late) Read(p []byte) (int, error) {
	c.reading.Add(1)
	defer c.reading.Add(-1)
	n, err := c.Conn.Read(p)
	if err != nil {
		<-time.After(50 * time.Millisecond)
	}
	return n, err
}

type lateListener struct {
	net.Listener
	reading atomic.Int32
}

func (l *lateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return late{conn, &l.reading}, err
}

func TestAShutdownWaitsForReadersThatReturnLate(t *testing.T) {
	bound, err := net.Listen("tcp", anyPort)
	require.NoError(t, err)
	slow := &lateListener{Listener: bound}
	l, err := Serve(newWorld().Root, slow, of(newEcho()), Options{Connection: brisk})
	require.NoError(t, err)
	for range 3 {
		echoes(t, dial(t, l))
	}
	eventually(t, func() bool { return slow.reading.Load() == 3 })
	require.NoError(t, l.Close())
	assert.Zero(t, slow.reading.Load(), "their goroutines are the listener's")
}

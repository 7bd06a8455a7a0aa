package netconn

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// serve starts a server with a factory and returns what dials it.
func (n network) serve(t *testing.T, f tcpactor.Factory) (*listener.Listener, *setup.Events, func() net.Conn) {
	t.Helper()
	system, events := newSystem()
	o := Options(n.options(listener.Options{}))
	o.ShutdownTimeout, o.Connection.DrainQuiet = -1, 20*time.Millisecond
	l, err := listener.Listen(system.Root, n.address(t), f, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = l.Close()
		<-l.Done()
	})
	dial := n.dressed(func() (net.Conn, error) { return net.Dial(n.family, l.Addr().String()) })
	return l, events, func() net.Conn {
		client, err := dial()
		require.NoError(t, err)
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
}

// kernels are the networks with sockets of the system.
func kernels() []network { return networks[:len(networks)-1] }

func TestAFunctionServesAConnectionAndItsReturnClosesIt(t *testing.T) {
	each(t, kernels(), func(t *testing.T, n network) {
		_, _, dial := n.serve(t, StreamHandler(func(r io.Reader, w io.Writer) {
			p := make([]byte, 5)
			if _, err := io.ReadFull(r, p); err == nil {
				_, _ = io.WriteString(w, string(p)+" to you")
			}
		}))
		client := dial()
		write(t, client, "hello")
		text, err := readError(t, client)
		assert.Equal(t, "hello to you", text)
		assert.Equal(t, io.EOF, err)
	})
}

func TestAPanicInAFunctionIsTheFailureOfItsHandlerAndEndsItsConnectionOnly(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		boom := errors.New("boom")
		l, events, dial := n.serve(t, Handler(func(conn net.Conn) {
			p := make([]byte, 1)
			for {
				if _, err := conn.Read(p); err != nil {
					return
				}
				_, _ = conn.Write(p)
				if p[0] == '!' {
					panic(boom)
				}
			}
		}))
		other, client := dial(), dial()
		write(t, client, "!")
		text, err := readError(t, client)
		assert.Equal(t, "!", text)
		assert.Equal(t, io.EOF, err)
		eventually(t, func() bool { return len(setup.Published[*connection.HandlerFailed](events)) == 1 })
		failed := setup.Published[*connection.HandlerFailed](events)[0]
		assert.Equal(t, protocol.ReasonHandlerPanic, failed.Reason)
		assert.ErrorIs(t, failed.Err, boom)
		assert.EqualError(t, failed.Err, "berth: handler panicked: boom")
		var of *Panic
		require.ErrorAs(t, failed.Err, &of)
		assert.Contains(t, string(of.Stack), "function_test.go")
		_ = client.Close()
		eventually(t, func() bool { return l.Info().Ended[protocol.ReasonHandlerPanic] == 1 })
		write(t, other, "x")
		assert.Equal(t, "x", read(t, other, 1))
	})
}

func TestGoexitInAFunctionIsAFailureToo(t *testing.T) {
	_, events, dial := networks[1].serve(t, Handler(func(net.Conn) { runtime.Goexit() }))
	client := dial()
	_, err := readError(t, client)
	assert.Equal(t, io.EOF, err)
	eventually(t, func() bool { return len(setup.Published[*connection.HandlerFailed](events)) == 1 })
	assert.ErrorIs(t, setup.Published[*connection.HandlerFailed](events)[0].Err, protocol.ErrGoexit)
}

func TestAPanicAfterTheEndIsPublishedToo(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		l, events, dial := n.serve(t, Handler(func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
			conn.(*Conn).Socket().Abort()
			for conn.(*Conn).Socket().Info().State != protocol.StateClosed {
				runtime.Gosched()
			}
			panic("late")
		}))
		write(t, dial(), "x")
		eventually(t, func() bool { return len(setup.Published[*connection.HandlerFailed](events)) == 1 })
		require.NoError(t, l.Close())
	})
}

func TestTheEndOfTheServerIsReportedToAFunctionAndWaitsForIt(t *testing.T) {
	each(t, kernels(), func(t *testing.T, n network) {
		reading := make(chan struct{})
		var returned atomic.Bool
		var failure error
		l, _, dial := n.serve(t, Handler(func(conn net.Conn) {
			close(reading)
			_, failure = conn.Read(make([]byte, 1))
			for range 1000 {
				runtime.Gosched()
			}
			returned.Store(true)
		}))
		dial()
		receive(t, reading)
		require.NoError(t, l.Close())
		require.True(t, returned.Load())
		assert.ErrorIs(t, failure, net.ErrClosed)
		assert.ErrorIs(t, failure, protocol.ErrShutdown)
	})
}

// A shutdown closes what is quiet, as with any handler that does not drain itself.
func TestAShutdownClosesAQuietFunction(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		l, _, dial := n.serve(t, Handler(func(conn net.Conn) { _, _ = io.Copy(conn, conn) }))
		client := dial()
		write(t, client, "x")
		assert.Equal(t, "x", read(t, client, 1))
		require.NoError(t, soon(t, func() error { return l.Shutdown(t.Context()) }))
		_, err := readError(t, client)
		assert.Equal(t, io.EOF, err)
	})
}

func TestAFunctionThatIsNilIsRefused(t *testing.T) {
	system, _ := newSystem()
	for _, f := range []tcpactor.Factory{Handler(nil), StreamHandler(nil)} {
		_, err := listener.Listen(system.Root, "127.0.0.1:0", f, listener.Options{})
		assert.EqualError(t, err, "netconn: no function to serve: it is nil")
	}
}

func TestAFunctionTakesAConnectionOverWithItsUnreadBytes(t *testing.T) {
	each(t, kernels(), func(t *testing.T, n network) {
		blocking := StreamHandler(func(r io.Reader, w io.Writer) {
			p := make([]byte, 5)
			if _, err := io.ReadFull(r, p); err == nil {
				_, _ = io.WriteString(w, string(p)+" to you")
			}
		})
		_, _, dial := n.serve(t, tcpactor.HandlerFunc(func(socket protocol.Socket, data *protocol.Buffer) error {
			line, found := data.ReadLine()
			if !found {
				return nil
			}
			if _, err := socket.Write(line); err != nil {
				return err
			}
			return socket.Become(blocking)
		}))
		client := dial()
		write(t, client, "upgrade \nhe")
		write(t, client, "llo")
		text, err := readError(t, client)
		assert.Equal(t, "upgrade hello to you", text)
		assert.Equal(t, io.EOF, err)
	})
}

// The next handler of a Become gets what was not read. The function is told, and its return closes
// nothing.
func TestABecomeEndsTheFunctionsConnAndNotTheConnection(t *testing.T) {
	each(t, kernels(), func(t *testing.T, n network) {
		returned := make(chan error, 1)
		_, _, dial := n.serve(t, Handler(func(conn net.Conn) {
			p := make([]byte, 1)
			_, err := conn.Read(p)
			assert.NoError(t, err)
			assert.NoError(t, conn.(*Conn).Socket().Become(echoing))
			_, err = conn.Read(p)
			returned <- err
		}))
		client := dial()
		write(t, client, "xyz")
		assert.ErrorIs(t, receive(t, returned), net.ErrClosed)
		assert.Equal(t, "yz", read(t, client, 2))
		write(t, client, "more")
		assert.Equal(t, "more", read(t, client, 4))
	})
}

// echoing is a handler that comes after a function.
var echoing = tcpactor.HandlerFunc(func(s protocol.Socket, b *protocol.Buffer) error {
	_, err := s.Forward(b)
	return err
})

// gives reads a byte and gives the connection to echoing.
func gives(conn net.Conn) error {
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return err
	}
	return conn.(*Conn).Socket().Become(echoing)
}

// The Become may not have taken effect yet when the function returns, or panics.
func TestAFunctionThatHasGivenItsConnectionAwayEndsNothing(t *testing.T) {
	for how, end := range map[string]func(){"returns": func() {}, "panics": func() { panic("late") }, "exits": runtime.Goexit} {
		t.Run(how, func(t *testing.T) {
			each(t, kernels(), func(t *testing.T, n network) {
				l, events, dial := n.serve(t, Handler(func(conn net.Conn) {
					if assert.NoError(t, gives(conn)) {
						end()
					}
				}))
				client := dial()
				write(t, client, "xyz")
				assert.Equal(t, "yz", read(t, client, 2))
				if how != "returns" {
					eventually(t, func() bool { return len(setup.Published[*connection.HandlerFailed](events)) == 1 })
				}
				write(t, client, "more")
				assert.Equal(t, "more", read(t, client, 4))
				assert.Equal(t, 1, l.Info().Open)
			})
		})
	}
}

// A shutdown waits for such a function too, and names its connection.
func TestAShutdownWaitsForAFunctionThatHasGivenItsConnectionAway(t *testing.T) {
	each(t, kernels(), func(t *testing.T, n network) {
		release := make(chan struct{})
		l, _, dial := n.serve(t, Handler(func(conn net.Conn) {
			assert.NoError(t, gives(conn))
			<-release
		}))
		client := dial()
		write(t, client, "xy")
		assert.Equal(t, "y", read(t, client, 1))
		now, cancel := context.WithCancel(t.Context())
		cancel()
		var late *listener.ShutdownError
		require.ErrorAs(t, l.Shutdown(now), &late)
		assert.Len(t, late.Stuck, 1)
		close(release)
		eventually(t, func() bool {
			select {
			case <-l.Done():
				return true
			default:
				return false
			}
		})
	})
}

// Functions and other handlers may take turns for as long as the connection lives, and no more is
// kept of it than of one change.
func TestAConnectionGoesToAndFroBetweenFunctionsAndHandlers(t *testing.T) {
	var functions tcpactor.Factory
	back := tcpactor.HandlerFunc(func(s protocol.Socket, b *protocol.Buffer) error {
		if b.Discard(1) == 0 {
			return nil
		}
		return s.Become(functions)
	})
	functions = Handler(func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			_, _ = conn.Write([]byte("."))
			_ = conn.(*Conn).Socket().Become(back)
		}
	})
	l, _, dial := networks[0].serve(t, functions)
	client := dial()
	for range 100 {
		write(t, client, "ab")
		assert.Equal(t, ".", read(t, client, 1))
	}
	require.NoError(t, client.Close())
	require.NoError(t, soon(t, func() error { return l.Shutdown(t.Context()) }))
	late := functions.(*factory).late
	eventually(t, func() bool {
		late.mu.Lock()
		defer late.mu.Unlock()
		return len(late.of) == 0
	})
	kept := tcpactor.Keep(functions, back)
	for range 10 {
		kept = tcpactor.Keep(tcpactor.Keep(kept, functions), back)
	}
	assert.Equal(t, joining{back, late}.late, kept.(joining).late)
	_, twice := kept.(joining).Factory.(joining)
	assert.False(t, twice)
}

// The bytes may come between the function's return and the Become.
func TestEveryByteThatAFunctionHasNotReadGoesToTheNextHandler(t *testing.T) {
	each(t, kernels(), func(t *testing.T, n network) {
		_, _, dial := n.serve(t, Handler(func(conn net.Conn) { assert.NoError(t, gives(conn)) }))
		for range 100 {
			client := dial()
			write(t, client, "x")
			write(t, client, "y")
			require.Equal(t, "y", read(t, client, 1))
			require.NoError(t, client.Close())
		}
	})
}

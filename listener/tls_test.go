package listener

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
)

// certified returns a server's configuration and a client's that trusts it.
func certified(*testing.T) (server, client *tls.Config) { return setup.TLS() }

func TestTLSIsServedAndEndsInAnOrderlyWay(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		server, client := certified(t)
		l := w.listen(t, of(newEcho()), Options{Transport: o.Transport, TLSConfig: server, Connection: brisk})
		c := tls.Client(dial(t, l), client)
		echoes(t, c)
		ended := make(chan error, 1)
		go func() { ended <- ends(c); _ = c.Close() }()
		require.NoError(t, l.Shutdown(within(t, patience)))
		require.NoError(t, receive(t, ended), "with TLS's own closeNotify")
	})
}

func TestAnUnfinishedHandshakeEndsInTimeAndNoHandlerSeesIt(t *testing.T) {
	t.Parallel() // it mostly waits
	overEach(t, func(t *testing.T, o Options) {
		w, handler := newWorld(), newEcho()
		server, client := certified(t)
		l := w.listen(t, of(handler), Options{Transport: o.Transport, TLSConfig: server, Connection: connection.Options{HandshakeTimeout: time.Second}})
		silent, garbage := dial(t, l), dial(t, l)
		_, err := garbage.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		require.NoError(t, err)
		good := tls.Client(dial(t, l), client)
		echoes(t, good) // meanwhile
		require.Error(t, ends(silent))
		_ = ends(garbage)
		eventually(t, func() bool { return l.Info().Open == 1 })
		assert.Len(t, handler.accepted, 1)
		assert.Empty(t, handler.closed)
	})
}

func TestAShutdownDuringHandshakesLeavesNothing(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		server, _ := certified(t)
		l, err := Listen(w.Root, anyPort, of(newEcho()), Options{Transport: o.Transport, TLSConfig: server})
		require.NoError(t, err)
		for range 5 {
			dial(t, l)
		}
		eventually(t, func() bool { return l.Info().Open == 5 })
		_ = l.Shutdown(within(t, 100*time.Millisecond))
		receive(t, l.Done())
		assert.Empty(t, w.actors())
	})
}

// Code that looks up the PID of such a connection can send it commands.
func TestWritesAndAHalfCloseWaitForTheEndOfTheHandshake(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for text, commands := range map[string][]any{
			"":      {&protocol.CloseWrite{}},
			"early": {&protocol.Write{Data: []byte("early")}, &protocol.CloseWrite{}},
		} {
			w := newWorld()
			server, client := certified(t)
			handler := newEcho()
			l := w.listen(t, of(handler), Options{Transport: o.Transport, TLSConfig: server, Connection: brisk})
			plain := dial(t, l)
			pid := w.find(t, l, 3, "")
			for _, command := range commands {
				w.Root.Send(pid, command)
			}
			_, err := w.Root.RequestFuture(pid, &protocol.GetInfo{}, patience).Result() // the commands were read before it
			require.NoError(t, err)
			c := tls.Client(plain, client)
			_ = c.SetDeadline(time.Now().Add(patience))
			all, err := io.ReadAll(c)
			require.NoError(t, err)
			assert.Equal(t, text, string(all))
			receive(t, handler.accepted)
		}
	})
}

// tells is a handler that itself decides what to do in a drain.
type tells struct {
	*echo
	draining chan time.Time
}

func (h tells) Draining(s protocol.Socket, deadline time.Time) error {
	h.draining <- deadline
	return s.Close()
}

func TestAConnectionThatOpensDuringADrainIsToldOfIt(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		server, client := certified(t)
		h := tells{newEcho(), make(chan time.Time, 10)}
		l := w.listen(t, of(h), Options{Transport: o.Transport, TLSConfig: server, Connection: connection.Options{DrainQuiet: -1}})
		plain := dial(t, l)
		pid := w.find(t, l, 3, "")
		ended := make(chan error, 1)
		go func() { ended <- l.Shutdown(within(t, patience)) }()
		receive(t, l.server.draining)
		for range 100 { // by then it has been told, and has no handler yet to tell
			_, err := w.Root.RequestFuture(pid, &protocol.GetInfo{}, patience).Result()
			require.NoError(t, err)
		}
		c := tls.Client(plain, client)
		require.NoError(t, ends(c))
		_ = c.Close()
		receive(t, h.draining)
		require.NoError(t, receive(t, ended))
		assert.Empty(t, h.draining, "once")
	})
}

package observe

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/berthtest"
)

var echo = berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
	_, err := socket.Forward(data)
	return err
})

// life returns the events about connections, without what they say.
func life(e *events) (kinds []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		switch event.(type) {
		case *connection.HandshakeStarted:
			kinds = append(kinds, "handshake started")
		case *connection.HandshakeFailed:
			kinds = append(kinds, "handshake failed")
		case *connection.TLSStarted:
			kinds = append(kinds, "TLS started")
		case *connection.Opened:
			kinds = append(kinds, "opened")
		case *connection.Closing:
			kinds = append(kinds, "closing")
		case *connection.Closed:
			kinds = append(kinds, "closed")
		}
	}
	return kinds
}

func TestALifeIsPublished(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		server := berthtest.Serve(t, echo, options...)
		e := listen(server.System)
		client := server.Dial()
		client.Send("hello")
		client.Expect("hello")
		client.CloseWrite()
		client.ExpectEOF()
		closed := first(t, e, func(*connection.Closed) bool { return true })
		assert.Equal(t, []string{"opened", "closing", "closed"}, life(e))
		opened, closing := of[*connection.Opened](e)[0], of[*connection.Closing](e)[0]
		remote := client.Conn().LocalAddr().String()
		assert.Equal(t, remote, opened.RemoteAddr.String())
		assert.Equal(t, client.Conn().RemoteAddr().String(), opened.LocalAddr.String())
		assert.False(t, opened.TLS || opened.Dialled)
		assert.Zero(t, opened.Handshake)
		assert.Equal(t, protocol.ReasonPeerClosed, closed.Reason)
		assert.EqualValues(t, 5, closed.Stats.Read)
		assert.EqualValues(t, 5, closed.Stats.Written)
		for _, addr := range []string{opened.Addr.String(), closing.Addr.String(), closed.Addr.String()} {
			assert.Equal(t, server.Addr().String(), addr)
		}
		assert.Equal(t, opened.PID, closing.PID)
		assert.Equal(t, opened.PID, closed.PID)
		assert.Equal(t, remote, closed.RemoteAddr.String())
	})
}

func TestAHandshakeIsPublished(t *testing.T) {
	served, trusting := setup.TLS()
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		var secured berth.Options
		secured.TLSConfig = served
		server := berthtest.Serve(t, echo, append(options, berthtest.With(secured))...)
		e := listen(server.System)
		client := server.Dial()
		time.Sleep(time.Millisecond) // the handshake takes some time: virtual time stands still otherwise
		client.TLS(trusting)
		client.Send("x")
		client.Expect("x")
		opened := first(t, e, func(*connection.Opened) bool { return true })
		assert.True(t, opened.TLS)
		assert.GreaterOrEqual(t, opened.Handshake, time.Millisecond)
		assert.Equal(t, opened.PID, of[*connection.HandshakeStarted](e)[0].PID)
		client.Close()
		first(t, e, func(*connection.Closed) bool { return true })
		assert.Equal(t, []string{"handshake started", "opened", "closing", "closed"}, life(e))

		plain := server.Dial()
		plain.Send("this is no TLS\n")
		failed := first(t, e, func(*connection.HandshakeFailed) bool { return true })
		assert.Error(t, failed.Err)
		assert.Equal(t, plain.Conn().LocalAddr().String(), failed.RemoteAddr.String())
		plain.Close()
		require.NoError(t, server.Close())
		assert.Equal(t, []string{"handshake started", "opened", "closing", "closed", "handshake started", "handshake failed"}, life(e))
	})
}

func TestTheHandshakeOfAStartTLSIsPublished(t *testing.T) {
	served, trusting := setup.TLS()
	switches := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		data.Discard(data.Len())
		if socket.TLS() != nil {
			return socket.Close()
		}
		if _, err := socket.Write([]byte("go")); err != nil {
			return err
		}
		return socket.StartTLS(served)
	})
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		server := berthtest.Serve(t, switches, options...)
		e := listen(server.System)
		client := server.Dial()
		client.Send("x")
		client.Expect("go")
		time.Sleep(time.Millisecond) // the handshake takes some time: virtual time stands still otherwise
		client.TLS(trusting)
		client.Send("x")
		closed := first(t, e, func(*connection.Closed) bool { return true })
		assert.NoError(t, closed.Err)
		started := of[*connection.TLSStarted](e)[0]
		assert.Equal(t, closed.PID, started.PID)
		assert.False(t, started.Dialled)
		assert.Equal(t, []string{"opened", "handshake started", "TLS started", "closing", "closed"}, life(e))
		assert.True(t, of[*connection.HandshakeStarted](e)[0].StartTLS)
		client.Close()

		plain := server.Dial()
		plain.Send("x")
		plain.Expect("go")
		plain.Send("this is no TLS\n")
		failed := first(t, e, func(*connection.HandshakeFailed) bool { return true })
		assert.ErrorIs(t, failed.Err, protocol.ErrBytesBeforeTLS)
		assert.True(t, failed.StartTLS)
		plain.Close()
		require.NoError(t, server.Close())
		assert.Equal(t, []string{"opened", "handshake started", "handshake failed", "closing", "closed"}, life(e)[5:])
	})
}

func TestAnAlarmIsPublishedBeforeItsCallback(t *testing.T) {
	called := make(chan int, 1)
	system := silent()
	e := listen(system)
	alarm := listener.Alarm{Name: "two", Threshold: 2, Callback: func(listener.Alarm, int) { called <- len(of[*listener.AlarmRaised](e)) }}
	server := berthtest.Serve(t, echo, berthtest.Loopback(), berthtest.InSystem(system),
		berthtest.With(berth.Options{Alarms: []listener.Alarm{alarm}}))
	server.Dial()
	server.Dial()
	raised := first(t, e, func(*listener.AlarmRaised) bool { return true })
	assert.Equal(t, listener.AlarmRaised{Addr: server.Addr(), Alarm: "two", Open: 2}, *raised)
	select {
	case published := <-called:
		assert.Equal(t, 1, published)
	case <-time.After(patience):
		assert.Fail(t, "the alarm's callback was not called")
	}
}

func TestAHandOverIsPublishedAndCounted(t *testing.T) {
	server := berthtest.Serve(t, echo, berthtest.Loopback())
	e := listen(server.System)
	assert.Zero(t, server.Info().HandOvers)
	require.NoError(t, server.HandedOver())
	first(t, e, func(h *listener.HandedOver) bool { return h.Addr == server.Addr() })
	assert.EqualValues(t, 1, server.Info().HandOvers)
	require.NoError(t, server.Close())
	require.ErrorIs(t, server.HandedOver(), berth.ErrServerClosed)
	assert.Len(t, of[*listener.HandedOver](e), 1, "after the end nothing is handed over")
}

// A dialled connection says so.
func TestADialledConnectionIsPublished(t *testing.T) {
	server := berthtest.Serve(t, echo, berthtest.Loopback())
	e := listen(server.System)
	socket, err := server.Server.Dial(t.Context(), server.Addr().String(), echo, listener.DialOptions{})
	require.NoError(t, err)
	first(t, e, func(o *connection.Opened) bool { return !o.Dialled })
	opened := first(t, e, func(o *connection.Opened) bool { return o.Dialled })
	assert.Equal(t, socket.PID(), opened.PID)
	socket.Abort()
	first(t, e, func(c *connection.Closed) bool {
		return c.PID.Equal(socket.PID()) && c.Reason == berth.ReasonLocalAborted
	})
}

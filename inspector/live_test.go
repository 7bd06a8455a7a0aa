package inspector_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/inspector"
)

// patience is how long a test waits for what comes at once.
const patience = 20 * time.Second

var echo = berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
	_, err := socket.Forward(data)
	return err
})

func serve(t *testing.T, handler berth.Factory, options berth.Options) *berth.Server {
	t.Helper()
	server, err := berth.Listen("127.0.0.1:0", handler, options)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	return server
}

func dial(t *testing.T, server *berth.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	t.Cleanup(func() { conn.Close() })
	return conn
}

func ask(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, len(text)))
	require.NoError(t, err)
}

// The tree names actors that are there, and the connection of every client with its writer.
func TestTheTreeOfALiveServer(t *testing.T) {
	server := serve(t, echo, berth.Options{Acceptors: 2})
	i := start(t, inspector.Options{}, server)
	remotes := map[string]bool{}
	for range 5 {
		conn := dial(t, server)
		ask(t, conn, "hello")
		remotes[conn.LocalAddr().String()] = true
	}
	there := func(id string) bool {
		_, found := berth.DefaultSystem().ProcessRegistry.GetLocal(id)
		return found
	}
	shown := get[tree](t, i, "/api/tree").Servers[0]
	assert.Equal(t, server.PID().Id, shown.PID)
	assert.Len(t, shown.Acceptors, 2)
	assert.Equal(t, 5, shown.Total)
	for _, id := range append(shown.Acceptors, shown.PID, shown.Connections) {
		assert.True(t, there(id), id)
	}
	require.Len(t, shown.Children, 5)
	for _, c := range shown.Children {
		assert.True(t, remotes[c.Remote], c.Remote)
		assert.True(t, there(c.ID), c.ID)
		assert.True(t, there(c.Writer), c.Writer)
		assert.Equal(t, "open", c.State)
	}
	assert.Len(t, get[tree](t, i, "/api/tree?limit=2&offset=4").Servers[0].Children, 1)
}

// What a live connection and its server have done is in the answers; a pause and a close act.
func TestALiveConnection(t *testing.T) {
	server := serve(t, echo, berth.Options{})
	i := start(t, inspector.Options{Actions: true, Token: token}, server)
	conn := dial(t, server)
	ask(t, conn, "twelve bytes")
	rows := get[table](t, i, "/api/connections").Rows
	require.Len(t, rows, 1)
	path := "/api/connection?id=" + url.QueryEscape(rows[0].ID)
	var one connection
	require.Eventually(t, func() bool { // the bytes are counted a moment after they have gone
		one = get[connection](t, i, path)
		return one.Written == 12
	}, patience, 5*time.Millisecond)
	assert.Equal(t, conn.LocalAddr().String(), one.Remote)
	assert.EqualValues(t, 12, one.Read)
	o := get[overview](t, i, "/api/overview")
	assert.Equal(t, 1, o.Open)
	assert.EqualValues(t, 12, o.Servers[0].Read)
	assert.Equal(t, map[string]int{"open": 1}, o.Servers[0].ByState)
	assert.Equal(t, "listener", o.Servers[0].Kind)

	act := func(name string) {
		w := answer(i, request(http.MethodPost, "/api/connection/"+name+"?id="+url.QueryEscape(one.ID), "Authorization", bearer))
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
	}
	act("pause")
	require.Eventually(t, func() bool { return get[connection](t, i, path).Paused }, patience, 5*time.Millisecond)
	_, err := io.WriteString(conn, "not now")
	require.NoError(t, err)
	act("resume")
	_, err = io.ReadFull(conn, make([]byte, 7))
	require.NoError(t, err)
	act("close")
	_, err = conn.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)
	conn.Close()
}

func TestASuspendedServerIsShown(t *testing.T) {
	server := serve(t, echo, berth.Options{})
	i := start(t, inspector.Options{Actions: true, Token: token}, server)
	accepting := func() bool { return get[overview](t, i, "/api/overview").Servers[0].Accepting }
	require.True(t, accepting())
	for _, name := range []string{"suspend", "resume"} {
		w := answer(i, request(http.MethodPost, "/api/server/"+name+"?server=0", "Authorization", bearer))
		require.Equal(t, http.StatusOK, w.Code, "%s", w.Body)
		assert.Equal(t, name == "resume", accepting())
	}
}

// The connections that ended are kept with their reasons, those of the inspected server alone.
func TestWhatHasEnded(t *testing.T) {
	handler := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		switch string(data.Bytes()) {
		case "error":
			return errors.New("no such verb")
		case "panic":
			panic("a defect")
		}
		_, err := socket.Forward(data)
		return err
	})
	server, other := serve(t, handler, berth.Options{}), serve(t, handler, berth.Options{})
	i := start(t, inspector.Options{Closed: 3}, server)
	end := func(server *berth.Server, how func(conn *net.TCPConn)) (remote string) {
		conn := dial(t, server).(*net.TCPConn)
		ask(t, conn, "five.")
		how(conn)
		conn.Close()
		return conn.LocalAddr().String()
	}
	say := func(text string) func(conn *net.TCPConn) {
		return func(conn *net.TCPConn) {
			_, err := io.WriteString(conn, text)
			require.NoError(t, err)
			_, err = conn.Read(make([]byte, 1))
			require.Error(t, err)
		}
	}
	stranger := end(other, func(*net.TCPConn) {})
	for _, test := range []struct {
		how           func(conn *net.TCPConn)
		reason, error string
		read          uint64
	}{
		{func(*net.TCPConn) {}, "peer closed", "", 5},
		{func(conn *net.TCPConn) { require.NoError(t, conn.SetLinger(0)) }, "peer reset", "connection reset by peer", 5},
		{say("error"), "handler error", "no such verb", 10},
		{say("panic"), "handler panic", "a defect", 10},
	} {
		remote := end(server, test.how)
		var found closedPage
		require.Eventually(t, func() bool {
			found = get[closedPage](t, i, "/api/closed?filter="+remote)
			return found.Total == 1
		}, patience, 5*time.Millisecond, test.reason)
		one := found.Rows[0]
		assert.Equal(t, test.reason, one.Reason)
		assert.Zero(t, get[closedPage](t, i, "/api/closed?filter="+stranger).Total, "it was another server's")
		assert.Contains(t, one.Error, test.error)
		assert.Equal(t, test.read, one.Read)
		assert.Positive(t, one.Age)
		assert.Equal(t, &one, get[connection](t, i, "/api/connection?id="+url.QueryEscape(one.ID)).Closed)
		assert.Equal(t, one.ID, get[closedPage](t, i, "/api/closed?reason="+url.QueryEscape(test.reason)).Rows[0].ID)
	}
	last := get[closedPage](t, i, "/api/closed")
	assert.Equal(t, map[string]int{"peer reset": 1, "handler error": 1, "handler panic": 1}, last.Reasons)
	assert.Equal(t, "handler panic", last.Rows[0].Reason, "the newest first")

	i.Close()
	end(server, func(*net.TCPConn) {})
	require.Eventually(t, func() bool { return server.Info().Open == 0 }, patience, 5*time.Millisecond)
	assert.Equal(t, last, get[closedPage](t, i, "/api/closed"), "after Close it hears of nothing more")
}

// A handler that blocks is seen: how long the call has lasted, the warning, and then how long the
// call took.
func TestABlockedHandlerIsSeen(t *testing.T) {
	release := make(chan struct{})
	handler := berth.Measure(berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		if string(data.Bytes()) == "block" {
			<-release
		}
		_, err := socket.Forward(data)
		return err
	}), nil)
	var options berth.Options
	options.Connection.WarnAfter = 50 * time.Millisecond
	server := serve(t, handler, options)
	i := start(t, inspector.Options{}, server)
	conn, other := dial(t, server), dial(t, server)
	ask(t, other, "hello")
	_, err := io.WriteString(conn, "block")
	require.NoError(t, err)
	var seen overview
	require.Eventually(t, func() bool {
		seen = get[overview](t, i, "/api/overview")
		return len(seen.Warnings) > 0
	}, patience, 5*time.Millisecond)
	warning := seen.Warnings[0]
	assert.Equal(t, "handler blocked", warning.Kind)
	assert.Equal(t, conn.LocalAddr().String(), warning.Remote)
	assert.Contains(t, warning.Advice, "goroutine profile")
	assert.GreaterOrEqual(t, warning.For, 0.05)
	var first connection
	require.Eventually(t, func() bool {
		first = get[table](t, i, "/api/connections?sort=handler").Rows[0]
		return first.HandlerFor > 0.05
	}, patience, 5*time.Millisecond)
	assert.Equal(t, warning.ID, first.ID)
	assert.Nil(t, first.Handler, "no call has returned")
	close(release)
	_, err = io.ReadFull(conn, make([]byte, 5))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		first = get[connection](t, i, "/api/connection?id="+url.QueryEscape(warning.ID))
		return first.Handler != nil
	}, patience, 5*time.Millisecond)
	assert.GreaterOrEqual(t, first.Handler.Longest, 0.05)
	assert.InDelta(t, first.Handler.Total, first.Handler.Mean*float64(first.Handler.Calls), 1e-6)
	require.Eventually(t, func() bool { return len(get[overview](t, i, "/api/overview").Warnings) == 0 }, patience, 5*time.Millisecond)
}

// The plots have a lag of the event loops that was measured.
func TestTheLagIsMeasured(t *testing.T) {
	server := serve(t, echo, berth.Options{})
	i := start(t, inspector.Options{}, server)
	require.Eventually(t, func() bool {
		points := get[history](t, i, "/api/history").Points
		return len(points) > 0 && points[0].LoopLag > 0 && points[0].Heap > 0
	}, patience, 5*time.Millisecond)
}

// A client whose handshake fails was no connection, and is among those that ended.
func TestAFailedHandshakeIsShown(t *testing.T) {
	server := serve(t, echo, berth.Options{ProxyProtocol: berth.ProxyProtocol{Enabled: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
	i := start(t, inspector.Options{}, server)
	conn := dial(t, server)
	_, err := io.WriteString(conn, "no header\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		rows := get[closedPage](t, i, "/api/closed").Rows
		return len(rows) == 1 && rows[0].Reason == "handshake failed" && rows[0].Error != ""
	}, patience, 5*time.Millisecond)
}

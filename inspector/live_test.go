package inspector_test

import (
	"io"
	"net"
	"net/http"
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

package netconn

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/go-berth/berth/listener"
)

// The Conn is the first end, to which most of the tests are.
func TestAConnIsANetConn(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		l, _, dial := n.open(t, mostQueued, listener.Options{})
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			client, server := ends(t, l, dial)
			return server, client, func() {
				_ = server.Close()
				_ = client.Close()
			}, nil
		})
	})
}

// Here it is the second one. A tls.Conn cannot be the first: it does not go on after a timeout.
func TestAConnIsAPeerOfANetConn(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		if n.secured {
			t.Skip("a client of TLS does not pass")
		}
		l, _, dial := n.open(t, mostQueued, listener.Options{})
		nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
			client, server := ends(t, l, dial)
			return client, server, func() {
				_ = client.Close()
				_ = server.Close()
			}, nil
		})
	})
}

func ends(t *testing.T, l *Listener, dial func() (net.Conn, error)) (client, server net.Conn) {
	client, err := dial()
	require.NoError(t, err)
	server, err = l.Accept()
	require.NoError(t, err)
	return client, server
}

package simnet_test

import (
	"context"
	"net"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/go-berth/berth/test/simnet"
)

func TestAPipeIsANetConn(t *testing.T) {
	for name, opts := range map[string]simnet.Options{
		"Default": {},
		"Narrow":  {BufferSize: 100},
		"Slow":    {Latency: 50 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				a, b := simnet.Pipe(opts)
				return a, b, func() { a.Close(); b.Close() }, nil
			})
		})
	}
}

func TestADialedConnectionIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		l := simnet.Listen(simnet.Options{})
		client, err := l.Dial(context.Background())
		if err != nil {
			return nil, nil, nil, err
		}
		server, err := l.Accept()
		return client, server, func() { client.Close(); server.Close(); l.Close() }, err
	})
}

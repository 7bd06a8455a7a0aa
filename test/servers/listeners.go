package servers

import (
	"context"
	"fmt"
	"net"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/netconn"
)

// Kinds are the listeners that the servers run on.
func Kinds() []string { return []string{"net", "poll", "stream"} }

// transports are the kinds that are Berth's.
var transports = map[string]berth.Transport{"poll": berth.Poll, "stream": berth.Stream}

// Listen opens a listener of a kind on a free port of 127.0.0.1, a bridge's in the actor system.
// ended waits for the end of its server, after its Close and the last connection's end.
func Listen(kind string, system *actor.ActorSystem) (l net.Listener, ended func(ctx context.Context) error, err error) {
	const address = "127.0.0.1:0"
	if kind == "net" {
		l, err = net.Listen("tcp", address)
		return l, func(context.Context) error { return nil }, err
	}
	bridge, err := netconn.ListenIn(system.Root, address, berth.Options{Transport: transports[kind]})
	if err != nil {
		return nil, nil, err
	}
	return bridge, func(ctx context.Context) error {
		select {
		case <-bridge.Server().Done():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%d connections are open still", bridge.Server().Info().Open)
		}
	}, nil
}

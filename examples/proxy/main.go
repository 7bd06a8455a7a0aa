// Proxy passes bytes between its clients and another server. Each client has two connections, the
// accepted one and a dialled one, and each of the two is an actor.
//
//	go run ./examples/echo
//	go run ./examples/proxy -listen 127.0.0.1:7004 -to 127.0.0.1:7000
//	nc 127.0.0.1 7004
package main

import (
	"net"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/internal/cli"
)

func main() { cli.Run("proxy", run) }

func run(p *cli.Program) error {
	listen := p.Flags.String("listen", "127.0.0.1:7004", "address to listen on")
	to := p.Flags.String("to", "127.0.0.1:7000", "address to connect each client to")
	idle := p.Flags.Duration("idle-timeout", 5*time.Minute, "close connections without traffic for so long (negative: never)")
	dial := p.Flags.Duration("dial-timeout", 10*time.Second, "how long the connection to the other server may take to open")
	if err := p.Begin(); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(*to); err != nil {
		return p.Errorf("-to: %w", err)
	}
	proxy := newProxy(*to, *dial)
	server, err := berth.Listen(*listen, proxy.handlers(), options(*idle))
	if err != nil {
		return err
	}
	proxy.use(server)
	return p.Serve(server) // drains on the first signal, aborts on the second
}

// options are those of both connections. Much is read at once, which makes bulk cheap: connections
// that carry little take no memory for that.
func options(idle time.Duration) berth.Options {
	return berth.Options{Connection: berth.ConnectionOptions{
		ReadGate:             berth.GateOff, // the two directions do not wait for each other
		KeepOpenOnPeerClosed: true,          // one may end before the other
		ReadBufferSize:       64 << 10,
		WriteBufferSize:      128 << 10,
		CloseTimeout:         2 * time.Minute, // a slow peer gets the last bytes that wait for it
		IdleTimeout:          idle,
	}}
}

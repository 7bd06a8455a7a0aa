// Command evio is the echo server of evio's README: one event loop, the default, and a Data event
// that returns its input.
package main

import (
	"github.com/tidwall/evio"

	"github.com/go-berth/berth/test/bench/servers/peer"
)

func main() {
	options := peer.Parse()
	var events evio.Events
	events.Serving = func(server evio.Server) evio.Action {
		peer.Announce(server.Addrs[0])
		return evio.None
	}
	events.Data = func(_ evio.Conn, in []byte) (out []byte, action evio.Action) {
		options.Block(in)
		return in, evio.None
	}
	if err := evio.Serve(events, "tcp://"+options.Addr); err != nil {
		peer.Fail(err)
	}
}

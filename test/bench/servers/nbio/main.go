// Command nbio is the Quick Start of nbio's README: its engine with the configuration shown there,
// and an OnData that writes a copy of what it got.
package main

import (
	"net"

	"github.com/lesismal/nbio"
	"github.com/lesismal/nbio/logging"

	"github.com/go-berth/berth/test/bench/servers/peer"
)

func main() {
	options := peer.Parse()
	logging.SetLevel(logging.LevelError) // its start-up lines go to standard output
	engine := nbio.NewEngine(nbio.Config{
		Network:            "tcp",
		Addrs:              []string{options.Addr},
		MaxWriteBufferSize: 6 * 1024 * 1024,
	})
	engine.OnData(func(conn *nbio.Conn, chunk []byte) {
		options.Block(chunk)
		_, _ = conn.Write(append([]byte{}, chunk...)) // the engine closes a connection it cannot write to
	})
	if err := engine.Start(); err != nil {
		peer.Fail(err)
	}
	// Start has put the port the kernel chose into the engine's own addresses.
	addr, err := net.ResolveTCPAddr("tcp", engine.Addrs[0])
	if err != nil {
		peer.Fail(err)
	}
	peer.Announce(addr)
	select {}
}

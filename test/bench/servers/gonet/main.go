// Command gonet is plain Go: package net, a goroutine and one buffer per connection. It is the
// baseline every ratio is taken to.
package main

import (
	"net"

	"github.com/go-berth/berth/test/bench/servers/peer"
)

func main() {
	options := peer.Parse()
	listener, err := net.Listen("tcp", options.Addr)
	if err != nil {
		peer.Fail(err)
	}
	peer.Announce(listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			peer.Fail(err)
		}
		go echo(conn, options)
	}
}

func echo(conn net.Conn, options peer.Options) {
	defer conn.Close()
	buffer := make([]byte, options.ReadBufferSize)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		options.Block(buffer[:n])
		if _, err := conn.Write(buffer[:n]); err != nil {
			return
		}
	}
}

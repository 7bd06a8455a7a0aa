// Command gonet is plain Go: package net, a goroutine and one buffer per connection. It is the
// baseline every ratio is taken to.
package main

import (
	"flag"
	"net"

	"github.com/go-berth/berth/test/bench/servers/peer"
)

var handoff = flag.Bool("handoff", false, "another goroutine writes what is read")

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
		if *handoff {
			go handOff(conn, options)
		} else {
			go echo(conn, options)
		}
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

// handOff gives what it reads to a goroutine of the connection, which writes it.
func handOff(conn net.Conn, options peer.Options) {
	defer conn.Close()
	pieces := make(chan []byte)
	defer close(pieces)
	go func() {
		for piece := range pieces {
			_, _ = conn.Write(piece) // the reader sees the end as well
		}
	}()
	buffer := make([]byte, options.ReadBufferSize)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		pieces <- append([]byte(nil), buffer[:n]...)
	}
}

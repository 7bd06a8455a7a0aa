// Command handoff is Berth with a handler that gives its bytes to another goroutine, which writes
// them: a worker pool, a bridge, an actor elsewhere. Each connection has one such goroutine, as
// gonet -handoff has.
package main

import (
	"flag"
	"log"
	"net"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/bench/servers/peer"
)

var stream = flag.Bool("stream", false, "serve over the stream transport")

func main() {
	options := peer.Parse()
	var serving berth.Options
	serving.Connection.ReadBufferSize = options.ReadBufferSize
	if *stream {
		serving.Transport = berth.Stream
	}
	listener, err := net.Listen("tcp", options.Addr)
	if err != nil {
		peer.Fail(err)
	}
	server, err := berth.Serve(listener, echo, serving)
	if err != nil {
		peer.Fail(err)
	}
	peer.Announce(server.Addr())
	<-server.Done()
}

var echo = berth.Functions[chan []byte]{
	Accept: func(socket berth.Socket) (chan []byte, error) {
		pieces := make(chan []byte)
		go write(socket, pieces)
		return pieces, nil
	},
	Read: func(pieces chan []byte, _ berth.Socket, data *berth.Buffer) (chan []byte, error) {
		pieces <- append([]byte(nil), data.Bytes()...)
		data.Discard(data.Len())
		return pieces, nil
	},
	Close: func(pieces chan []byte, _ *berth.Closed) { close(pieces) },
}

func write(socket berth.Socket, pieces chan []byte) {
	for piece := range pieces {
		if err := socket.WriteOwned(piece, nil); err != nil {
			log.Print(err)
		}
	}
}

//go:build unix

// Command netpoll is CloudWeGo's netpoll as its guide shows it: an event loop with an OnRequest
// handler that uses the no-copy reader and writer. The number of pollers is its default.
package main

import (
	"context"

	"github.com/cloudwego/netpoll"

	"github.com/go-berth/berth/test/bench/servers/peer"
)

func main() {
	options := peer.Parse()
	listener, err := netpoll.CreateListener("tcp", options.Addr)
	if err != nil {
		peer.Fail(err)
	}
	loop, err := netpoll.NewEventLoop(func(_ context.Context, conn netpoll.Connection) error {
		return echo(conn, options)
	})
	if err != nil {
		peer.Fail(err)
	}
	peer.Announce(listener.Addr())
	if err := loop.Serve(listener); err != nil {
		peer.Fail(err)
	}
}

// echo hands the bytes read to the writer by reference. Releasing them afterwards is safe because
// Flush returns only when the kernel has them all.
func echo(conn netpoll.Connection, options peer.Options) error {
	reader, writer := conn.Reader(), conn.Writer()
	chunk, err := reader.Next(reader.Len())
	if err != nil {
		return err
	}
	options.Block(chunk)
	if _, err := writer.WriteBinary(chunk); err != nil {
		return err
	}
	if err := writer.Flush(); err != nil {
		return err
	}
	return reader.Release()
}

// Command actors is what a user of Proto.Actor writes first: per connection a reader goroutine, a
// connection actor and a writer actor, all with the mailbox, dispatcher and Props they come with.
// Berth exists to be cheaper than this.
package main

import (
	"io"
	"log/slog"
	"net"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/test/bench/servers/peer"
)

// chunk is what one read brought.
type chunk struct{ bytes []byte }

// reply is what the writer is to send.
type reply struct{ bytes []byte }

func main() {
	options := peer.Parse()
	listener, err := net.Listen("tcp", options.Addr)
	if err != nil {
		peer.Fail(err)
	}
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	peer.Announce(listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			peer.Fail(err)
		}
		props := actor.PropsFromProducer(func() actor.Actor {
			return &connection{conn: conn, options: options}
		})
		system.Root.Spawn(props)
	}
}

// connection echoes: it hands each chunk to its writer, and ends when the reader does.
type connection struct {
	conn    net.Conn
	writer  *actor.PID
	options peer.Options
}

func (c *connection) Receive(ctx actor.Context) {
	switch message := ctx.Message().(type) {
	case *actor.Started:
		c.writer = ctx.Spawn(actor.PropsFromProducer(func() actor.Actor { return &writer{conn: c.conn} }))
		go read(c.conn, c.options.ReadBufferSize, ctx.ActorSystem().Root, ctx.Self())
	case *chunk:
		c.options.Block(message.bytes)
		ctx.Send(c.writer, &reply{bytes: message.bytes})
	case *actor.Stopped:
		c.conn.Close()
	}
}

// read ends with the connection, which the connection actor closes; it then stops that actor. A
// poison pill, so that chunks already sent are still echoed.
func read(source io.Reader, size int, root *actor.RootContext, owner *actor.PID) {
	buffer := make([]byte, size)
	for {
		n, err := source.Read(buffer)
		if n > 0 {
			root.Send(owner, &chunk{bytes: append([]byte(nil), buffer[:n]...)})
		}
		if err != nil {
			root.Poison(owner)
			return
		}
	}
}

type writer struct{ conn net.Conn }

func (w *writer) Receive(ctx actor.Context) {
	if message, ok := ctx.Message().(*reply); ok {
		if _, err := w.conn.Write(message.bytes); err != nil {
			w.conn.Close()
		}
	}
}

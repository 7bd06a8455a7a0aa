package tcpactor_test

import (
	"fmt"
	"io"
	"net"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// counter is one value per connection, so its fields need no lock.
type counter struct{ calls int }

func (c *counter) Accepted(socket protocol.Socket) error {
	_, err := io.WriteString(socket, "welcome; ")
	return err
}

func (c *counter) Data(socket protocol.Socket, buffer *protocol.Buffer) error {
	c.calls++
	_, err := fmt.Fprintf(socket, "%d: %s", c.calls, buffer.Next(buffer.Len()))
	return err
}

func (c *counter) Closed(protocol.Socket, *protocol.Closed) {}

// The Go form is an interface with three methods. More are optional.
func ExampleHandlers() {
	converse(tcpactor.Handlers(func() tcpactor.Handler { return &counter{} }))
	// Output: welcome; 1: hello
}

// The ancestor's form is three functions that thread a state. Any of them but Read may be missing.
func ExampleFunctions() {
	converse(tcpactor.Functions[int]{
		Accept: func(socket protocol.Socket) (int, error) {
			_, err := io.WriteString(socket, "welcome; ")
			return 0, err
		},
		Read: func(calls int, socket protocol.Socket, buffer *protocol.Buffer) (int, error) {
			_, err := fmt.Fprintf(socket, "%d: %s", calls+1, buffer.Next(buffer.Len()))
			return calls + 1, err
		},
		Close: func(calls int, closed *protocol.Closed) {
			fmt.Println(closed.Reason, "after", calls, "calls")
		},
	})
	// Unordered output:
	// welcome; 1: hello
	// peer closed after 1 calls
}

// In the Proto.Actor form the actor is the connection.
func ExampleActors() {
	converse(tcpactor.Actors(func() actor.Actor {
		calls := 0
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch event := ctx.Message().(type) {
			case *protocol.Accepted:
				fmt.Fprint(event.Socket, "welcome; ")
			case *protocol.Data:
				calls++
				fmt.Fprintf(event.Socket, "%d: %s", calls, event.Buffer.Next(event.Buffer.Len()))
			}
		})
	}))
	// Output: welcome; 1: hello
}

// converse serves one client, which says hello and prints what it gets.
func converse(factory tcpactor.Factory) {
	server, err := listener.Listen(tcpactor.NewSystem().Root, "127.0.0.1:0", factory, listener.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = io.WriteString(conn, "hello")
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(conn)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(string(answer))
	conn.Close()
	_ = server.Close()
}

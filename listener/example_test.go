package listener_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// shout is a handler for the Go form: one value per connection.
type shout struct{}

func (shout) Accepted(protocol.Socket) error { return nil }

func (shout) Data(socket protocol.Socket, buffer *protocol.Buffer) error {
	_, err := io.WriteString(socket, strings.ToUpper(string(buffer.Next(buffer.Len()))))
	return err
}

func (shout) Closed(_ protocol.Socket, closed *protocol.Closed) {
	fmt.Println(closed.Reason, "after", closed.Stats.Read, "bytes")
}

// A server in an actor system of its own, from its start to an orderly end.
func ExampleListen() {
	system := tcpactor.NewSystem()
	factory := tcpactor.Handlers(func() tcpactor.Handler { return shout{} })
	server, err := listener.Listen(system.Root, "127.0.0.1:0", factory, listener.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ask(server.Addr(), "hello"))
	if err := server.Shutdown(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Unordered output:
	// HELLO
	// peer closed after 5 bytes
}

// A bad option is one sentence, and nothing is started.
func ExampleListen_badOption() {
	options := listener.Options{WhenFull: 7}
	_, err := listener.Listen(tcpactor.NewSystem().Root, "127.0.0.1:0", tcpactor.Functions[int]{Read: discard}, options)
	fmt.Println(err)
	// Output: berth: WhenFull 7 is neither Wait nor Reject
}

func discard(n int, _ protocol.Socket, buffer *protocol.Buffer) (int, error) {
	return n + buffer.Discard(buffer.Len()), nil
}

// Serve takes a net.Listener that exists already, of any kind.
func ExampleServe() {
	bound, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	factory := tcpactor.Handlers(func() tcpactor.Handler { return shout{} })
	server, err := listener.Serve(tcpactor.NewSystem().Root, bound, factory, listener.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ask(bound.Addr(), "served"))
	_ = server.Shutdown(context.Background())
	// Unordered output:
	// SERVED
	// peer closed after 6 bytes
}

// ask sends text, half-closes, and returns everything that comes back.
func ask(addr net.Addr, text string) string {
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		return err.Error()
	}
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err.Error()
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err.Error()
	}
	return string(answer)
}

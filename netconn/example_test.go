package netconn_test

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/netconn"
)

func Example() {
	l, err := netconn.Listen("127.0.0.1:0", listener.Options{MaxConnections: 1000})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello from an actor")
	})}
	go func() { _ = server.Serve(l) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	fmt.Println(string(text))

	_ = server.Close()
	<-l.Server().Done()
	// Output: hello from an actor
}

func ExampleHandler() {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	echo := netconn.Handler(func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	server, err := listener.Serve(system.Root, socket, echo, netconn.Options(listener.Options{}))
	if err != nil {
		log.Fatal(err)
	}

	client, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	_, _ = io.WriteString(client, "hello")
	_ = client.(*net.TCPConn).CloseWrite()
	text, _ := io.ReadAll(client)
	_ = client.Close()
	fmt.Println(string(text))

	_ = server.Close()
	// Output: hello
}

// system is the program's own actor system.
var system = tcpactor.NewSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
	return slog.New(slog.DiscardHandler)
}))

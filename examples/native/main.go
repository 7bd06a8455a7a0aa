// Native is a chat room. It shows a Proto.Actor actor that IS its connection: bytes and messages
// come to one Receive, which changes its behaviour (Become) and spawns children that end with the
// connection. For other actors it is one more PID: the room sends to it. When its end begins, it
// tells the room.
//
//	go run ./examples/native
//	nc 127.0.0.1 7002
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	addr := flag.String("addr", "127.0.0.1:7002", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	system := berth.NewSystem()
	room := system.Root.Spawn(actor.PropsFromProducer(newRoom))
	members := berth.Actors(func() actor.Actor { return newMember(room) })
	options := berth.Options{Connection: berth.ConnectionOptions{IdleTimeout: 5 * time.Minute}}
	server, err := berth.ListenIn(system.Root, *addr, members, options)
	if err != nil {
		return err
	}
	fmt.Println("listening on", server.Addr())
	<-ctx.Done()
	return server.Shutdown(context.Background())
}

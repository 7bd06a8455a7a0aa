// Tree is a listener in a supervised tree. It shows that a listener is an actor like any other: a
// child of the actor whose context ListenIn was given, stopped and drained with it, started again
// by it. The program has two accidents and ends by itself:
//
//	guardian ─── service ─── listener ─┬─ acceptor
//	                                   └─ connections ─── connection ─── writer
//
//	go run ./examples/tree
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
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
	system := berth.NewSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler) // what happens is told on standard output
	}))
	berth.Log(system, slog.New(slog.NewTextHandler(os.Stderr, nil)))

	// A guardian supervises the actors at the root. This one restarts the service, at most three
	// times in ten seconds.
	guardian := actor.NewOneForOneStrategy(3, 10*time.Second, func(any) actor.Directive { return actor.RestartDirective })
	outside := &outside{addr: "127.0.0.1:0", bound: make(chan net.Addr, 1), stopped: make(chan struct{})}
	pid := system.Root.WithGuardian(guardian).Spawn(actor.PropsFromProducer(func() actor.Actor {
		return &service{outside: outside}
	}))

	for _, accident := range []func(){
		func() { system.Root.Send(pid, &kill{}) },
		func() { system.Root.Send(pid, &fail{}) },
		func() { fmt.Println("the service is stopped"); system.Root.Stop(pid) },
	} {
		client, err := net.Dial("tcp", (<-outside.bound).String())
		if err != nil {
			return err
		}
		if err := converse(client); err != nil {
			return err
		}
		accident()
		// Whatever stops a listener, it drains: this client has nothing on its way, and is closed
		// in an orderly way.
		_, err = client.Read(make([]byte, 1))
		fmt.Println("client: the connection ended with", err)
		client.Close()
		if !errors.Is(err, io.EOF) {
			return err
		}
	}
	<-outside.stopped
	fmt.Println("the end")
	return nil
}

// converse sends a line and reads the answer.
func converse(client net.Conn) error {
	if _, err := fmt.Fprintln(client, "hello"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(client).ReadString('\n')
	fmt.Print("client: ", answer)
	return err
}

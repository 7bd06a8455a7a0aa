package main

import (
	"fmt"
	"net"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
)

// service is the user's own actor, the listener's owner.
type service struct {
	*outside
	server *berth.Server
	ending bool
}

// outside is what survives a restart of the service, because it lies outside of the actor.
type outside struct {
	addr    string // where to listen; from the first time on, the port that was chosen then
	bound   chan net.Addr
	stopped chan struct{}
}

type (
	kill struct{} // stop the listener, as any actor may
	fail struct{} // panic
)

// Receive implements actor.Actor.
func (s *service) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		fmt.Println("the service starts")
		s.listen(ctx)
	case *kill:
		fmt.Println("the listener is killed")
		ctx.Stop(s.server.PID())
	case *fail:
		fmt.Println("the service panics")
		panic("an accident") // the guardian restarts us; Proto.Actor stops our children first, the listener among them
	case *actor.Stopping, *actor.Restarting:
		s.ending = true
	case *actor.Terminated: // a parent is told of its children's end without a Watch
		// Not while we end ourselves: Proto.Actor would wait for the new child for ever.
		if m.Who.Equal(s.server.PID()) && !s.ending {
			fmt.Println("the listener has ended, the service listens again")
			s.listen(ctx)
		}
	case *actor.Stopped:
		close(s.stopped)
	}
}

// listen makes the listener a child of this actor: that is what the context says.
func (s *service) listen(ctx actor.Context) {
	server, err := berth.ListenIn(ctx, s.addr, berth.HandlerFunc(echo), berth.Options{})
	if err != nil {
		panic(err) // as every failure here: for the guardian to decide
	}
	s.server, s.addr = server, server.Addr().String()
	s.bound <- server.Addr()
}

func echo(socket berth.Socket, buffer *berth.Buffer) error {
	_, err := socket.Forward(buffer)
	return err
}

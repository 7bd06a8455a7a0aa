package main

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
)

// What members say to the room.
type (
	join  struct{ name string }
	say   struct{ name, text string }
	leave struct{}
)

// room is an actor like any other. Its members are PIDs; that there are sockets behind them shows
// in one message only, Write.
type room struct {
	members *actor.PIDSet
	names   map[string]string // by the PID's id
}

func newRoom() actor.Actor { return &room{actor.NewPIDSet(), map[string]string{}} }

// Receive implements actor.Actor.
func (r *room) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *join:
		r.members.Add(ctx.Sender())
		r.names[ctx.Sender().Id] = m.name
		r.tell(ctx, "* "+m.name+" is here")
	case *say:
		r.tell(ctx, m.name+": "+m.text)
	case *berth.WriteFailed:
		if member := m.Ack.(*actor.PID); r.members.Contains(member) { // its queue is full: it does not read, so there is nothing to wait for
			ctx.Send(member, &berth.Abort{})
		}
	case *leave:
		name := r.names[ctx.Sender().Id]
		r.members.Remove(ctx.Sender())
		delete(r.names, ctx.Sender().Id)
		r.tell(ctx, "* "+name+" has left")
	}
}

// tell writes a line to every connection. What does not fit into a member's queue comes back as
// WriteFailed, with the member as its Ack.
func (r *room) tell(ctx actor.Context, line string) {
	data := []byte(line + "\n")
	r.members.ForEach(func(_ int, member *actor.PID) {
		ctx.Request(member, &berth.Write{Data: data, Ack: member})
	})
}

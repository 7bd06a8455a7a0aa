package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
)

// member is the actor of one connection. It has no name until its first line, which is its name;
// then it chats.
type member struct {
	behavior actor.Behavior
	room     *actor.PID
	name     string
}

func newMember(room *actor.PID) actor.Actor {
	m := &member{behavior: actor.NewBehavior(), room: room}
	m.behavior.Become(m.nameless)
	return m
}

// Receive gets the connection's events, messages of other actors, and Proto.Actor's own.
func (m *member) Receive(ctx actor.Context) { m.behavior.Receive(ctx) }

func (m *member) nameless(ctx actor.Context) {
	switch event := ctx.Message().(type) {
	case *berth.Accepted:
		_, _ = fmt.Fprintln(event.Socket, "your name?") // the write queue is empty
	case *berth.Data:
		line, ok := event.Buffer.ReadLine()
		if !ok {
			return
		}
		m.name = string(line)
		ctx.Request(m.room, &join{m.name}) // the sender, for the room, is the connection
		m.behavior.Become(m.chatting)
		m.chatting(ctx) // the rest of the same Data
	}
}

func (m *member) chatting(ctx actor.Context) {
	switch event := ctx.Message().(type) {
	case *berth.Data:
		for {
			line, ok := event.Buffer.ReadLine()
			if !ok {
				return
			}
			m.obey(ctx, event.Socket, string(line))
		}
	case *berth.Closing: // whatever ends the connection; it may still be busy with its end for seconds
		ctx.Request(m.room, &leave{})
		m.behavior.Become(gone)
	case *remind: // from a child
		ctx.Send(m.room, &say{m.name, event.text})
	}
}

// gone ignores what comes behind Closing: a child may have reminded it meanwhile, and a member that
// has left says nothing.
func gone(actor.Context) {}

// obey does what a line asks for. Everything but a command is said to the room.
func (m *member) obey(ctx actor.Context, socket berth.Socket, line string) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "/every": // /every 2s hello
		period, text, _ := strings.Cut(rest, " ")
		interval, err := time.ParseDuration(period)
		if err != nil || interval <= 0 {
			if _, err := fmt.Fprintln(socket, "usage: /every 2s something to say"); err != nil {
				panic(err) // whatever goes wrong here ends this connection, and no other
			}
			return
		}
		ctx.Spawn(actor.PropsFromProducer(func() actor.Actor {
			return &repeater{text: text, interval: interval}
		}))
	case "/stop":
		for _, child := range ctx.Children() {
			ctx.Stop(child)
		}
	case "/quit":
		_ = socket.Close()
	default:
		ctx.Send(m.room, &say{m.name, line})
	}
}

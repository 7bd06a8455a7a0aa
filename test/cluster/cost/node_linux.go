package main

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/owner"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/wire"
	"github.com/go-berth/berth/test/cluster/nodes"
)

// Node is a process: a gateway, or the node of owners, or both. Its methods are called by net/rpc.
type Node struct {
	system *actor.ActorSystem
	owners []*actor.PID
	owned  atomic.Int64 // connections of the owners
}

// Owners starts actors that are to own connections, and answers with their PIDs.
func (n *Node) Owners(count int, names *[]string) error {
	for range count {
		pid := n.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor {
			return &ownerActor{node: n, places: map[string]int{}}
		}))
		n.owners = append(n.owners, pid)
		*names = append(*names, nodes.Name(pid))
	}
	return nil
}

// Listen starts a server and answers with its address. Its connections belong to the owners, each
// to the next one; without owners their handler echoes.
func (n *Node) Listen(names []string, addr *string) error {
	var factory berth.Factory = berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		_, err := socket.Forward(data)
		return err
	})
	if len(names) > 0 {
		pids := make([]*actor.PID, len(names))
		for i, name := range names {
			pid, err := nodes.Parse(name)
			if err != nil {
				return err
			}
			pids[i] = pid
		}
		var next atomic.Uint64
		connections, err := owner.New(owner.Options{Owner: func(berth.Socket) *actor.PID {
			pid := pids[next.Add(1)%uint64(len(pids))]
			return actor.NewPID(pid.Address, pid.Id) // a PID remembers where its first sender has found the actor
		}})
		if err != nil {
			return err
		}
		factory = berth.Actors(connections)
	}
	server, err := berth.ListenIn(n.system.Root, "127.0.0.1:0", factory, berth.Options{})
	if err != nil {
		return err
	}
	*addr = server.Addr().String()
	return nil
}

// Owned waits until the owners have so many connections.
func (n *Node) Owned(count int64, _ *struct{}) error {
	for late := time.Now().Add(patience); n.owned.Load() != count; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			return errors.New("the connections have not come, or not gone")
		}
	}
	return nil
}

// Deliver is a load of Write messages.
type Deliver struct {
	Native bool // messages of package protocol
	Window int  // for each connection: messages without an answer
	Size   int  // bytes of each
	For    time.Duration
}

// deliver is the same for one owner. The number of its messages goes to done when all are answered.
type deliver struct {
	Deliver
	done chan uint64
}

// over ends a deliver.
type over struct{}

// Deliver has every owner write to its connections for a time, and answers with the number of
// messages that were answered.
func (n *Node) Deliver(load Deliver, messages *uint64) error {
	done := make(chan uint64, len(n.owners))
	for _, pid := range n.owners {
		n.system.Root.Send(pid, &deliver{load, done})
	}
	late := time.After(load.For + patience)
	for range n.owners {
		select {
		case count := <-done:
			*messages += count
		case <-late:
			return errors.New("writes have no answer")
		}
	}
	return nil
}

// ownerActor owns connections: it echoes what they say, and writes to them during a deliver.
type ownerActor struct {
	node        *Node
	connections []*actor.PID // a place is nil when its connection has ended
	places      map[string]int
	load        *deliver
	data        []byte
	answered    uint64
	waiting     int
	stopping    bool
}

// Receive implements actor.Actor.
func (o *ownerActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *wire.Owned:
		connection := m.Connection.Native()
		o.places[connection.Id] = len(o.connections)
		o.connections = append(o.connections, connection)
		o.node.owned.Add(1)
	case *wire.Closed:
		place := o.places[m.Connection.Id]
		o.connections[place] = nil
		delete(o.places, m.Connection.Id)
		o.node.owned.Add(-1)
	case *wire.Data:
		connection := o.connections[o.places[m.Connection.Id]]
		ctx.Request(connection, &wire.Handled{Number: m.Number})
		if len(m.Bytes) > 0 {
			ctx.Request(connection, &wire.Write{Data: m.Bytes})
		}
	case *deliver:
		o.begin(ctx, m)
	case *over:
		o.stopping = true
		o.end()
	case *wire.Written:
		o.written(ctx, int(m.Ack.GetInt()))
	case *protocol.Written:
		o.written(ctx, m.Ack.(int))
	}
}

func (o *ownerActor) begin(ctx actor.Context, load *deliver) {
	o.load, o.data, o.answered, o.stopping = load, make([]byte, load.Size), 0, false
	for place, connection := range o.connections {
		for range load.Window {
			if connection != nil {
				o.write(ctx, place)
			}
		}
	}
	root, self := ctx.ActorSystem().Root, ctx.Self()
	time.AfterFunc(load.For, func() { root.Send(self, &over{}) })
}

func (o *ownerActor) write(ctx actor.Context, place int) {
	o.waiting++
	if o.load.Native {
		ctx.Request(o.connections[place], &protocol.Write{Data: o.data, Ack: place})
		return
	}
	ctx.Request(o.connections[place], wireWrite(o.data, place))
}

func wireWrite(data []byte, place int) proto.Message {
	return &wire.Write{Data: data, Ack: &wire.Value{Kind: &wire.Value_Int{Int: int64(place)}}}
}

func (o *ownerActor) written(ctx actor.Context, place int) {
	o.waiting--
	o.answered++
	if o.stopping {
		o.end()
		return
	}
	o.write(ctx, place)
}

func (o *ownerActor) end() {
	if o.stopping && o.waiting == 0 && o.load != nil {
		o.load.done <- o.answered
		o.load = nil
	}
}

package cluster_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/owner"
	"github.com/go-berth/berth/protocol/wire"
	"github.com/go-berth/berth/test/cluster/nodes"
)

// The two processes of the tests with slow clients and slow owners.
const (
	roleGateway = "gateway"
	roleOwner   = "owner"
)

// The limits of a connection. An owner that never has more without an answer than the connection
// may hold is never refused, so its writes stay in order.
const (
	readBuffer  = 8 << 10
	writeBuffer = 32 << 10
	highWater   = 16 << 10
	chunk       = 4 << 10 // bytes of a write
	window      = 7       // writes without an answer
	credit      = 8       // Data that are not acknowledged
)

// beRole is the process of a role, until the one that has started it ends; the exit code.
func beRole(role string) int {
	system, r := nodes.NewSystem()
	defer r.Shutdown(false)
	var node any
	switch role {
	case roleGateway:
		node = &GatewayNode{system: system}
	case roleOwner:
		node = newOwner(system)
	default:
		fmt.Fprintln(os.Stderr, "no such role:", role)
		return 2
	}
	if err := nodes.Serve(node); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

type GatewayOptions struct {
	Owner     string // the PID of the connections' owner
	Unlimited bool
}

// GatewayNode has the sockets.
type GatewayNode struct{ system *actor.ActorSystem }

// Listen starts a server, and answers with its address.
func (g *GatewayNode) Listen(options GatewayOptions, addr *string) error {
	pid, err := nodes.Parse(options.Owner)
	if err != nil {
		return err
	}
	connections, err := owner.New(owner.Options{
		Credit: credit,
		Owner:  func(berth.Socket) *actor.PID { return actor.NewPID(pid.Address, pid.Id) },
	})
	if err != nil {
		return err
	}
	listen := berth.Options{RecvBufferSize: kernel, SendBufferSize: kernel}
	listen.Connection = berth.ConnectionOptions{
		ReadBufferSize: readBuffer, WriteBufferSize: writeBuffer, HighWater: highWater, WriteTimeout: -1,
	}
	if options.Unlimited {
		listen.Connection.WriteBufferSize, listen.Connection.WriteQueueSize = -1, -1
	}
	server, err := berth.ListenIn(g.system.Root, "127.0.0.1:0", berth.Actors(connections), listen)
	if err != nil {
		return err
	}
	*addr = server.Addr().String()
	return nil
}

// StreamState is what the owner knows of one connection.
type StreamState struct {
	Port                  uint16 // the client's
	Sent, Written         uint64 // bytes of writes: sent to the connection, answered by Written
	Unanswered            int    // writes
	Ready, NotReady       int    // Writable events
	Refusals, Rooms       int    // WriteFailed, WriteReady
	Refusal               string
	Got                   uint64 // bytes of Data
	Held, MostHeld        int    // Data that are not acknowledged
	Paused                bool   // by the last Info
	Closed                bool
	Read                  uint64 // by Closed
	Wrong                 string // what must not be
	offered               uint64
	last                  uint64 // the number of the last Data
	connection            *actor.PID
	writes                *owner.Writes
	overfull, overwritten bool // a write was refused and is to be said again; it was
}

// OwnerNode owns the connections, by one actor. Its methods are called by net/rpc.
type OwnerNode struct {
	system    *actor.ActorSystem
	desk      *actor.PID
	unlimited bool
	streams   []*StreamState
	pace      time.Duration
	asked     int // answers to GetInfo that have not come
	answered  chan struct{}
}

// do is a message to the owner's actor: a function to run there.
type do struct {
	run  func(actor.Context)
	done chan struct{}
}

// handled is a message of the actor to itself: a Data is handled now.
type handled struct {
	stream *StreamState
	number uint64
}

func newOwner(system *actor.ActorSystem) *OwnerNode {
	n := &OwnerNode{system: system}
	n.desk = system.Root.Spawn(actor.PropsFromFunc(n.receive))
	return n
}

func (n *OwnerNode) do(run func(actor.Context)) {
	m := &do{run, make(chan struct{})}
	n.system.Root.Send(n.desk, m)
	<-m.done
}

// PID answers with the owner's. An owner has any number of writes without an answer, or window.
func (n *OwnerNode) PID(unlimited bool, name *string) error {
	n.do(func(actor.Context) { n.unlimited = unlimited })
	*name = nodes.Name(n.desk)
	return nil
}

// Write gives each connection so many bytes more to write.
func (n *OwnerNode) Write(bytes int64, _ *struct{}) error {
	n.do(func(ctx actor.Context) {
		for _, s := range n.streams {
			s.offered += uint64(bytes)
			n.pump(ctx, s)
		}
	})
	return nil
}

// Overfill sends each connection a write that fits into an empty queue only.
func (n *OwnerNode) Overfill(struct{}, *struct{}) error {
	n.do(func(ctx actor.Context) {
		for i, s := range n.streams {
			token := &wire.Value{Kind: &wire.Value_Int{Int: int64(i)}}
			ctx.Request(s.connection, &wire.Write{Data: make([]byte, writeBuffer), Token: token})
		}
	})
	return nil
}

// Pace is how long the owner takes for each Data from now on.
func (n *OwnerNode) Pace(pace time.Duration, _ *struct{}) error {
	n.do(func(actor.Context) { n.pace = pace })
	return nil
}

// Close closes the connections.
func (n *OwnerNode) Close(struct{}, *struct{}) error {
	n.do(func(ctx actor.Context) {
		for _, s := range n.streams {
			ctx.Request(s.connection, &wire.Close{})
		}
	})
	return nil
}

// Ask asks each connection for its Info, and returns when all have answered.
func (n *OwnerNode) Ask(struct{}, *struct{}) error {
	n.do(func(ctx actor.Context) {
		n.asked, n.answered = len(n.streams), make(chan struct{})
		for _, s := range n.streams {
			ctx.Request(s.connection, &wire.GetInfo{})
		}
	})
	select {
	case <-n.answered:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%d connections have not answered", n.asked)
	}
}

// Streams answers with what is known, in the order of ports.
func (n *OwnerNode) Streams(_ struct{}, streams *[]StreamState) error {
	n.do(func(actor.Context) {
		for _, s := range n.streams {
			*streams = append(*streams, *s)
		}
	})
	slices.SortFunc(*streams, func(a, b StreamState) int { return int(a.Port) - int(b.Port) })
	return nil
}

// pump writes until nothing is left, or window writes have no answer. What was refused is the last.
func (n *OwnerNode) pump(ctx actor.Context, s *StreamState) {
	for s.Sent < s.offered {
		data := make([]byte, min(chunk, s.offered-s.Sent))
		fill(data, s.Port, s.Sent)
		command, err := s.writes.Write(data)
		if err != nil {
			return // it goes on with the next answer
		}
		s.Sent += uint64(len(data))
		s.Unanswered++
		ctx.Request(s.connection, command)
	}
	if s.overfull && !s.overwritten && s.Rooms > 0 && s.Unanswered == 0 {
		s.overwritten = true
		data := make([]byte, writeBuffer)
		fill(data, s.Port, s.Sent)
		command, err := s.writes.Write(data)
		if err != nil {
			s.Wrong = err.Error()
			return
		}
		s.Sent += uint64(len(data))
		s.Unanswered++
		s.offered = s.Sent
		ctx.Request(s.connection, command)
	}
}

func (n *OwnerNode) receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *do:
		m.run(ctx)
		close(m.done)
	case *wire.Owned:
		s := &StreamState{Port: netip.MustParseAddrPort(m.RemoteAddr).Port(), connection: m.Connection.Native(), writes: owner.NewWrites(window)}
		if n.unlimited {
			s.writes = owner.NewWrites(1 << 30)
		}
		n.streams = append(n.streams, s)
	case *handled:
		n.handle(ctx, m.stream, m.number)
	case *wire.Info:
		s := n.byAddr(m.RemoteAddr)
		s.Paused = m.Paused
		if n.asked--; n.asked == 0 {
			close(n.answered)
		}
	case *wire.WriteReady:
		s := n.of(m.Pid)
		s.Rooms++
		n.pump(ctx, s)
	case *wire.Written, *wire.WriteFailed:
		n.answer(ctx, m)
	case interface{ GetConnection() *wire.PID }:
		n.event(ctx, n.of(m.GetConnection()), m)
	}
}

// answer takes the answer to a write.
func (n *OwnerNode) answer(ctx actor.Context, m any) {
	if failed, is := m.(*wire.WriteFailed); is && failed.Token != nil { // the write of Overfill
		s := n.streams[failed.Token.GetInt()]
		s.Refusals++
		s.Refusal, s.overfull = failed.Error.Native().Error(), true
		return
	}
	for _, s := range n.streams {
		write, ours, err := s.writes.Answer(m)
		if !ours {
			continue
		}
		s.Written += uint64(len(write.Data))
		s.Unanswered--
		if err != nil {
			s.Wrong = fmt.Sprintf("write %d: %v", write.Number, err)
		}
		n.pump(ctx, s)
		return
	}
}

func (n *OwnerNode) event(ctx actor.Context, s *StreamState, m any) {
	switch m := m.(type) {
	case *wire.Writable:
		if m.Ready {
			s.Ready++
		} else {
			s.NotReady++
		}
	case *wire.Data:
		if at, ok := matches(m.Bytes, s.Port, s.Got); !ok || m.Offset != s.Got || m.Number != s.last+1 {
			s.Wrong = fmt.Sprintf("Data %d at %d differs at %d, after Data %d up to %d", m.Number, m.Offset, at, s.last, s.Got)
		}
		s.last, s.Got = m.Number, s.Got+uint64(len(m.Bytes))
		s.Held++
		s.MostHeld = max(s.MostHeld, s.Held)
		if n.pace == 0 && s.Held == 1 {
			n.handle(ctx, s, m.Number)
			return
		}
		later := &handled{s, m.Number}
		time.AfterFunc(n.pace, func() { n.system.Root.Send(n.desk, later) })
	case *wire.Closed:
		s.Closed, s.Read = true, m.Stats.Read
	case *wire.Refused:
		s.Wrong = m.Error.Text
	}
}

// handle acknowledges a Data. Timers do not keep their order, but a later one acknowledges the
// earlier ones too.
func (n *OwnerNode) handle(ctx actor.Context, s *StreamState, number uint64) {
	ctx.Request(s.connection, &wire.Handled{Number: number})
	s.Held = min(s.Held, int(s.last-number))
}

func (n *OwnerNode) byAddr(addr string) *StreamState {
	port := netip.MustParseAddrPort(addr).Port()
	return n.streams[slices.IndexFunc(n.streams, func(s *StreamState) bool { return s.Port == port })]
}

func (n *OwnerNode) of(pid *wire.PID) *StreamState {
	return n.streams[slices.IndexFunc(n.streams, func(s *StreamState) bool { return s.connection.Id == pid.GetId() })]
}

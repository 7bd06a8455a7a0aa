// Package cluster_test commands connections from other nodes: each node is an actor system of its
// own with Proto.Actor's remote, on loopback; one is a process of its own.
package cluster_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/owner"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/wire"
	"github.com/go-berth/berth/test/cluster/nodes"
)

const patience = 30 * time.Second

// otherNode is set in the environment of a process that is a node: the PID of the test's actor that
// is to be told of it.
const otherNode = "BERTH_TEST_OTHER_NODE"

func TestMain(m *testing.M) {
	if reader := os.Getenv(otherNode); reader != "" {
		beNode(reader)
		return
	}
	if role := nodes.Role(); role != "" {
		os.Exit(beRole(role))
	}
	os.Exit(m.Run())
}

// node is one node, with the actor that the test speaks through.
type node struct {
	system *actor.ActorSystem
	remote *remote.Remote
	desk   *actor.PID
	mail   chan any
}

// start starts the remote before any actor: PIDs have its address.
func start(options ...remote.ConfigOption) *node {
	n := &node{mail: make(chan any, 10000)}
	n.system = berth.NewSystem(actor.WithDeadLetterThrottleInterval(time.Millisecond),
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	n.remote = remote.NewRemote(n.system, remote.Configure("127.0.0.1", 0, options...))
	n.remote.Start()
	n.desk = n.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started, *actor.Stopping, *actor.Stopped:
		case *watch:
			ctx.Watch(m.pid)
		default:
			n.mail <- m
		}
	}))
	return n
}

// owns makes the desk the owner of all connections. The PID is a new one: a PID remembers where its
// first sender's node has found the actor.
func (n *node) owns(berth.Socket) *actor.PID { return actor.NewPID(n.desk.Address, n.desk.Id) }

// watch makes the desk watch an actor.
type watch struct{ pid *actor.PID }

func newNode(t *testing.T, options ...remote.ConfigOption) *node {
	t.Helper()
	n := start(options...)
	t.Cleanup(func() { n.remote.Shutdown(false) })
	return n
}

// send encodes a message and sends it, as the desk's request.
func (n *node) send(t *testing.T, to *actor.PID, message any) {
	t.Helper()
	form, err := wire.Encode(message)
	require.NoError(t, err)
	n.system.Root.RequestWithCustomSender(to, form, n.desk)
}

// next waits for a message of type T and skips others.
func next[T any](t *testing.T, n *node) T {
	t.Helper()
	late := time.After(patience)
	var skipped []string
	for {
		select {
		case m := <-n.mail:
			if m, ok := m.(T); ok {
				return m
			}
			skipped = append(skipped, fmt.Sprintf("%T", m))
		case <-late:
			require.FailNow(t, "it did not come", "%T, but %v", *new(T), skipped)
		}
	}
}

// gateway is a node with a server whose connections belong to the owner that the options name.
//
// A frame of gRPC is at most 4 MiB by default, and the remote puts up to 1,000 messages into one: a
// larger one ends the stream, and all its messages are lost.
func gateway(t *testing.T, options owner.Options, listen berth.Options) (n *node, addr string) {
	t.Helper()
	n = newNode(t, remote.WithServerOptions(grpc.MaxRecvMsgSize(64<<20)))
	connections, err := owner.New(options)
	require.NoError(t, err)
	server, err := berth.ListenIn(n.system.Root, "127.0.0.1:0", berth.Actors(connections), listen)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	return n, server.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

func decoded[T any](t *testing.T, form any) T {
	t.Helper()
	message, err := wire.Decode(form)
	require.NoError(t, err)
	require.IsType(t, *new(T), message)
	return message.(T)
}

func TestAnActorOfAnotherNodeCommandsAndWatchesAConnection(t *testing.T) {
	far := newNode(t)
	_, addr := gateway(t, owner.Options{Owner: far.owns}, berth.Options{})
	client := dial(t, addr)
	owned := next[*wire.Owned](t, far)
	assert.Equal(t, client.LocalAddr().String(), owned.RemoteAddr)
	connection := owned.Connection.Native()
	require.NotEqual(t, far.system.Address(), connection.Address)
	far.system.Root.Send(far.desk, &watch{connection})

	far.send(t, connection, &protocol.Write{Data: []byte("hello\n"), Ack: "first"})
	assert.Equal(t, &protocol.Written{Ack: "first"}, decoded[*protocol.Written](t, next[*wire.Written](t, far)))
	lines := bufio.NewReader(client)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "hello\n", line)

	far.send(t, connection, &protocol.Write{Data: make([]byte, 1<<20), Token: 5})
	failed := decoded[*protocol.WriteFailed](t, next[*wire.WriteFailed](t, far))
	assert.ErrorIs(t, failed.Err, protocol.ErrWriteTooLarge)
	assert.Equal(t, 5, failed.Token)

	far.send(t, connection, &protocol.GetInfo{})
	assert.Equal(t, protocol.StateOpen, decoded[*protocol.Info](t, next[*wire.Info](t, far)).State)

	_, err = io.WriteString(client, "question")
	require.NoError(t, err)
	assert.Equal(t, "question", string(next[*wire.Data](t, far).Bytes))

	far.send(t, connection, &protocol.Close{Ack: uint64(9)})
	_, err = io.ReadAll(lines)
	require.NoError(t, err)
	require.NoError(t, client.Close())
	seen := map[string]bool{} // Terminated is a system message, so it may overtake
	for !seen["done"] || !seen["closed"] || !seen["terminated"] {
		switch m := next[any](t, far).(type) {
		case *wire.Done:
			assert.Equal(t, &protocol.Done{Ack: uint64(9)}, decoded[*protocol.Done](t, m))
			seen["done"] = true
		case *wire.Closed:
			assert.Equal(t, protocol.ReasonLocalClosed, decoded[*protocol.Closed](t, m).Reason)
			seen["closed"] = true
		case *actor.Terminated:
			assert.True(t, connection.Equal(m.Who))
			seen["terminated"] = true
		}
	}
	far.send(t, connection, &protocol.Write{Data: []byte("late"), Ack: 1})
	next[*actor.DeadLetterResponse](t, far)
}

// An owner of another node that is slow: the peer is stopped, and both nodes hold no more than the
// credit allows.
func TestAFarOwnerGetsAtMostItsCredit(t *testing.T) {
	const credit, total = 4, 4 << 20
	far := newNode(t)
	near, addr := gateway(t, owner.Options{Credit: credit, Owner: far.owns}, berth.Options{})
	client := dial(t, addr)
	connection := next[*wire.Owned](t, far).Connection.Native()
	written := make(chan error, 1)
	go func() { _, err := client.Write(make([]byte, total)); written <- err }()
	for range credit {
		next[*wire.Data](t, far)
	}
	// The answer to a question comes behind everything that was sent before it.
	far.send(t, connection, &protocol.GetInfo{})
	info := decoded[*protocol.Info](t, next[*wire.Info](t, far))
	assert.True(t, info.Paused)
	assert.LessOrEqual(t, info.Stats.Read, uint64((credit+1)*8<<10))
	assert.Empty(t, far.mail)
	_ = near

	far.system.Root.RequestWithCustomSender(connection, &wire.Handled{Number: credit}, far.desk)
	read, last := uint64(0), uint64(0)
	for read < total {
		data := next[*wire.Data](t, far)
		require.Greater(t, data.Number, last)
		last, read = data.Number, data.Offset+uint64(len(data.Bytes))
		require.LessOrEqual(t, len(far.mail), credit)
		far.system.Root.RequestWithCustomSender(connection, &wire.Handled{Number: last}, far.desk)
	}
	assert.NoError(t, <-written)
}

// The owner's process is killed with -9. Within the grace an actor of a third node takes over: it
// gets what was not acknowledged, and the client notices nothing.
func TestAnotherNodeTakesOverFromAProcessThatWasKilled(t *testing.T) {
	third := newNode(t)
	process, first := spawn(t, third)
	_, addr := gateway(t, owner.Options{Grace: patience, Owner: func(berth.Socket) *actor.PID { return first }}, berth.Options{})
	client := dial(t, addr)
	_, err := io.WriteString(client, "a")
	require.NoError(t, err)
	report := next[*wire.Data](t, third) // the process reports what it has got, and acknowledges nothing
	assert.Equal(t, "a", string(report.Bytes))
	connection := report.Connection.Native()

	require.NoError(t, process.Process.Kill())
	_ = process.Wait()
	for { // until the gateway has noticed
		third.system.Root.RequestWithCustomSender(connection, &wire.TakeOver{}, third.desk)
		answer := next[interface{ GetConnection() *wire.PID }](t, third)
		if owned, ok := answer.(*wire.Owned); ok {
			assert.Equal(t, first.Id, owned.Before.Id)
			assert.Zero(t, owned.Handled)
			break
		}
		require.IsType(t, &wire.Refused{}, answer)
	}
	again := next[*wire.Data](t, third)
	assert.Equal(t, "a", string(again.Bytes))
	assert.True(t, again.Again)
	third.system.Root.RequestWithCustomSender(connection, &wire.Handled{Number: 1}, third.desk)
	_, err = io.WriteString(client, "b")
	require.NoError(t, err)
	assert.EqualValues(t, 2, next[*wire.Data](t, third).Number)
	third.send(t, connection, &protocol.Write{Data: []byte("on it goes\n"), Ack: true})
	line, err := bufio.NewReader(client).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "on it goes\n", line)
}

// Without a grace the connection is closed when the owner's process is killed.
func TestAConnectionIsClosedWhenItsOwnersProcessIsKilled(t *testing.T) {
	third := newNode(t)
	process, first := spawn(t, third)
	_, addr := gateway(t, owner.Options{Owner: func(berth.Socket) *actor.PID { return first }}, berth.Options{})
	client := dial(t, addr)
	_, err := io.WriteString(client, "a")
	require.NoError(t, err)
	next[*wire.Data](t, third)
	require.NoError(t, process.Process.Kill())
	_ = process.Wait()
	_, err = client.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF)
}

// The gateway is lost: the owner is told, and knows which of its writes have no answer.
func TestAnOwnerKnowsWhichWritesHaveNoAnswerWhenTheGatewayIsLost(t *testing.T) {
	far := newNode(t)
	near, addr := gateway(t, owner.Options{Owner: far.owns},
		berth.Options{SendBufferSize: 4 << 10, Connection: berth.ConnectionOptions{WriteBufferSize: 64 << 20}})
	_ = dial(t, addr) // it reads nothing
	connection := next[*wire.Owned](t, far).Connection.Native()
	far.system.Root.Send(far.desk, &watch{connection})
	writes, first := owner.NewWrites(0), uint64(0)
	for _, data := range [][]byte{[]byte("small"), make([]byte, 8<<20)} {
		for range 4 {
			command, err := writes.Write(data)
			require.NoError(t, err)
			if first == 0 {
				first = command.Ack.GetUint64()
			}
			far.system.Root.RequestWithCustomSender(connection, command, far.desk)
		}
	}
	for range 4 {
		_, ours, err := writes.Answer(next[*wire.Written](t, far))
		require.NoError(t, err)
		require.True(t, ours)
	}
	near.remote.Shutdown(false) // as far as other nodes see, it is gone
	assert.Equal(t, actor.TerminatedReason_AddressTerminated, next[*actor.Terminated](t, far).Why)
	left := writes.Unanswered()
	require.NotEmpty(t, left)
	assert.Equal(t, first+7, left[len(left)-1].Number)
	for _, one := range left {
		assert.Greater(t, one.Number, first+3)
	}
}

// spawn starts a process that is a node, and returns the PID of an actor there. That actor sends on
// what it gets.
func spawn(t *testing.T, to *node) (*exec.Cmd, *actor.PID) {
	t.Helper()
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), otherNode+"="+to.desk.Address+"/"+to.desk.Id)
	process.Stderr = os.Stderr
	_, err := process.StdinPipe() // open as long as this process lives
	require.NoError(t, err)
	output, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	t.Cleanup(func() { _ = process.Process.Kill(); _ = process.Wait() })
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	address, id, found := strings.Cut(strings.TrimSpace(line), "/")
	require.True(t, found, line)
	return process, actor.NewPID(address, id)
}

// beNode is the other process: until it is killed, or its parent's end closes its input.
func beNode(reader string) {
	address, id, _ := strings.Cut(reader, "/")
	to := actor.NewPID(address, id)
	n := start()
	forward := n.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if data, ok := ctx.Message().(*wire.Data); ok {
			ctx.Send(to, data)
		}
	}))
	fmt.Println(forward.Address + "/" + forward.Id)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

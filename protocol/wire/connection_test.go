package wire_test

import (
	"context"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/wire"
)

const patience = 20 * time.Second

// gateway is a server with one client, and an actor that commands the connection by its PID.
type gateway struct {
	system *actor.ActorSystem
	socket berth.Socket
	client *net.TCPConn
	sender *actor.PID
	mail   chan any // what the actor gets
	shown  chan any // what the handler gets, but for Data
}

func newSystem() *actor.ActorSystem {
	return berth.NewSystem(setup.Silent()...)
}

func newGateway(t *testing.T, options berth.Options) *gateway {
	t.Helper()
	g := &gateway{system: newSystem(), mail: make(chan any, 1000), shown: make(chan any, 1000)}
	accepted := make(chan berth.Socket, 1)
	server, err := berth.ListenIn(g.system.Root, "127.0.0.1:0", berth.Actors(func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *berth.Accepted:
				accepted <- m.Socket
			case *berth.Data:
				m.Buffer.Discard(m.Buffer.Len())
			case *berth.Closed, *berth.Writable, *berth.Closing, *berth.PeerClosed, *berth.Draining:
			case actor.AutoReceiveMessage, actor.SystemMessage:
			default:
				g.shown <- m
			}
		})
	}), options)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })
	conn, err := net.Dial("tcp", server.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	g.client = conn.(*net.TCPConn)
	require.NoError(t, g.client.SetDeadline(time.Now().Add(patience)))
	g.socket = next(t, accepted)
	g.sender = g.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started, *actor.Stopping, *actor.Stopped:
		default:
			g.mail <- m
		}
	}))
	t.Cleanup(func() { assert.NoError(t, g.system.Root.StopFuture(g.sender).Wait()) })
	return g
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// command sends the form of a message, as another node does: in bytes, which are read again.
func (g *gateway) command(t *testing.T, message any) {
	t.Helper()
	form, err := wire.Encode(message)
	require.NoError(t, err)
	g.system.Root.RequestWithCustomSender(g.socket.PID(), sent(t, form), g.sender)
}

// answer returns the next message to the sender. It is a form, and can be sent.
func (g *gateway) answer(t *testing.T) any {
	t.Helper()
	form := next(t, g.mail)
	require.Implements(t, (*proto.Message)(nil), form, "%T cannot be sent", form)
	return decoded(t, sent(t, form.(proto.Message)))
}

func TestAConnectionObeysCommandsOfOtherNodesAndAnswersInKind(t *testing.T) {
	g := newGateway(t, berth.Options{})
	g.command(t, &protocol.Write{Data: []byte("hello"), Ack: "first"})
	assert.Equal(t, &protocol.Written{Ack: "first"}, g.answer(t))
	text := make([]byte, 5)
	_, err := io.ReadFull(g.client, text)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(text))

	g.command(t, &protocol.Write{Data: []byte("silent")}) // without an Ack no answer comes
	_, err = io.ReadFull(g.client, make([]byte, 6))
	require.NoError(t, err)

	other := g.system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
	for i, command := range []protocol.Command{
		&protocol.Pause{Ack: 0}, &protocol.Resume{Ack: 1}, &protocol.Detach{Ack: 2}, &protocol.Link{PID: other, Ack: 3},
		&protocol.Unlink{PID: other, Ack: 4}, &protocol.CloseWrite{Ack: 5},
	} {
		g.command(t, command)
		assert.Equal(t, &protocol.Done{Ack: i}, g.answer(t), "%T", command)
	}
	require.NoError(t, g.system.Root.StopFuture(other).Wait())

	g.command(t, &protocol.GetInfo{})
	info := g.answer(t).(*protocol.Info)
	assert.Equal(t, g.socket.RemoteAddr().String(), info.RemoteAddr)
	assert.Equal(t, protocol.StateOpen, info.State)
	assert.EqualValues(t, 11, info.Stats.Written)

	g.command(t, &protocol.Write{Data: []byte("late"), Token: 7})
	failed := g.answer(t).(*protocol.WriteFailed)
	assert.Equal(t, 7, failed.Token)
	assert.ErrorIs(t, failed.Err, net.ErrClosed)
	assert.Empty(t, g.shown, "the handler sees no command")

	rest, err := io.ReadAll(g.client)
	require.NoError(t, err)
	assert.Empty(t, rest)
	require.NoError(t, g.client.Close())
}

func TestACloseOfAnotherNodeIsAnsweredAtTheEnd(t *testing.T) {
	for _, command := range []protocol.Command{&protocol.Close{Ack: uint64(1)}, &protocol.Abort{Ack: uint64(1)}} {
		g := newGateway(t, berth.Options{})
		g.command(t, command)
		go func() { _, _ = io.Copy(io.Discard, g.client); _ = g.client.Close() }()
		assert.Equal(t, &protocol.Done{Ack: uint64(1)}, g.answer(t), "%T", command)
	}
}

// A peer that does not read: a write is refused, the sender is told why, and again once there is
// room. All in the form of the command.
func TestAWriteOfAnotherNodeIsRefusedAndItsSenderIsToldOfRoom(t *testing.T) {
	options := berth.Options{}
	options.Connection.WriteBufferSize = 64 << 10
	options.SendBufferSize = 16 << 10
	g := newGateway(t, options)
	g.command(t, &protocol.Write{Data: make([]byte, 64<<10+1)})
	assert.ErrorIs(t, g.answer(t).(*protocol.WriteFailed).Err, protocol.ErrWriteTooLarge)

	refused := false
	for sum := 0; !refused; sum += 32 << 10 {
		require.Less(t, sum, 256<<20)
		g.command(t, &protocol.Write{Data: make([]byte, 32<<10), Ack: sum})
		select {
		case form := <-g.mail:
			failed, ok := decoded(t, form).(*protocol.WriteFailed)
			refused = ok
			if ok {
				require.ErrorIs(t, failed.Err, protocol.ErrWriteBufferFull)
			}
		case <-time.After(time.Millisecond): // not answered yet: it waits in the queue
		}
	}
	go func() { _, _ = io.Copy(io.Discard, g.client) }()
	for {
		if ready, ok := g.answer(t).(*protocol.WriteReady); ok {
			assert.True(t, g.socket.PID().Equal(ready.PID))
			break
		}
	}
	g.command(t, &protocol.Abort{Ack: true})
	for {
		if done, ok := g.answer(t).(*protocol.Done); ok {
			assert.Equal(t, true, done.Ack)
			break
		}
	}
}

// A write that was accepted and did not go out is answered in its form too.
func TestAWriteOfAnotherNodeThatAnAbortCutsOffIsAnswered(t *testing.T) {
	options := berth.Options{}
	options.SendBufferSize = 4 << 10
	options.Connection.WriteBufferSize = 16 << 20
	g := newGateway(t, options)
	g.command(t, &protocol.Write{Data: make([]byte, 16<<20), Ack: "cut", Token: "too"})
	g.command(t, &protocol.Abort{})
	failed := g.answer(t).(*protocol.WriteFailed)
	assert.Equal(t, "cut", failed.Ack)
	assert.Equal(t, "too", failed.Token)
	assert.ErrorIs(t, failed.Err, protocol.ErrAborted)
}

// A connection that has ended and is still known answers from outside its turn.
func TestACommandOfAnotherNodeAfterTheEndIsAnsweredOrADeadLetter(t *testing.T) {
	g := newGateway(t, berth.Options{})
	dead := make(chan *actor.DeadLetterEvent, 100)
	subscription := g.system.EventStream.Subscribe(func(event any) {
		if letter, ok := event.(*actor.DeadLetterEvent); ok {
			dead <- letter
		}
	})
	defer g.system.EventStream.Unsubscribe(subscription)
	g.socket.Abort()
	g.command(t, &protocol.Write{Data: []byte("x"), Ack: 1})
	switch m := next(t, g.mail).(type) {
	case *wire.WriteFailed:
		assert.ErrorIs(t, decoded(t, m).(*protocol.WriteFailed).Err, net.ErrClosed)
	default:
		require.IsType(t, &actor.DeadLetterResponse{}, m) // it is a protobuf message too
		next(t, dead)
	}
}

func TestANilFormIsADeadLetterAndTheConnectionLivesOn(t *testing.T) {
	g := newGateway(t, berth.Options{})
	dead := make(chan *actor.DeadLetterEvent, 100)
	subscription := g.system.EventStream.Subscribe(func(event any) {
		if letter, ok := event.(*actor.DeadLetterEvent); ok {
			dead <- letter
		}
	})
	defer g.system.EventStream.Unsubscribe(subscription)
	for _, form := range []any{
		(*wire.Write)(nil), (*wire.Pause)(nil), (*wire.Resume)(nil), (*wire.Close)(nil), (*wire.CloseWrite)(nil), (*wire.Abort)(nil),
		(*wire.Detach)(nil), (*wire.Link)(nil), (*wire.Unlink)(nil), (*wire.GetInfo)(nil),
	} {
		g.system.Root.Send(g.socket.PID(), form)
		assert.Equal(t, reflect.TypeOf(form), reflect.TypeOf(next(t, dead).Message))
	}
	g.command(t, &protocol.Pause{Ack: 1})
	assert.Equal(t, &protocol.Done{Ack: 1}, g.answer(t))
}

// Every event becomes a form that names its connection.
func TestEventsNameTheirConnection(t *testing.T) {
	forms := make(chan proto.Message, 100)
	server, err := berth.Listen("127.0.0.1:0", berth.Actors(func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			event, ok := ctx.Message().(protocol.Event)
			if !ok {
				return
			}
			form, err := wire.Encode(event)
			if assert.NoError(t, err) {
				forms <- form
			}
			if data, ok := event.(*berth.Data); ok {
				data.Buffer.Discard(2)
				_ = data.Socket.Close()
			}
		})
	}), berth.Options{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, server.Shutdown(context.Background())) }()
	conn, err := net.Dial("tcp", server.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "abc")
	require.NoError(t, err)

	accepted := next(t, forms).(*wire.Accepted)
	assert.Equal(t, conn.LocalAddr().String(), accepted.RemoteAddr)
	require.NotEmpty(t, accepted.Connection.GetId())
	data := next(t, forms).(*wire.Data)
	assert.Equal(t, "abc", string(data.Bytes))
	assert.Zero(t, data.Offset)
	assert.True(t, proto.Equal(accepted.Connection, data.Connection))
	closing := next(t, forms).(*wire.Closing)
	assert.Equal(t, wire.Reason_REASON_LOCAL_CLOSED, closing.Reason)
	require.NoError(t, conn.Close())
	closed := next(t, forms).(*wire.Closed)
	assert.EqualValues(t, 3, closed.Stats.Read)
	assert.EqualValues(t, 1, closed.Stats.Unread)
	assert.True(t, proto.Equal(accepted.Connection, closed.Connection))
}
